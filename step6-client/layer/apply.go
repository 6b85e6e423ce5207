package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"shibafu.dev/step1-spec-notes/digest"
)

// Options say how layers are unpacked. The zero value will do.
type Options struct {
	// UserXattr makes what Unpack writes fit for an overlay that is mounted with
	// "userxattr": the only kind there is in a user namespace. It is not asked by
	// Flatten.
	UserXattr bool
	// Owner says which user and group of this machine stand for those of the image.
	// Without it root keeps the image's numbers, and what anybody else unpacks is his
	// own. Root of a user namespace that lacks some of the image's numbers needs one
	// that answers with numbers that are there: otherwise Unpack fails, ErrOwner.
	Owner func(uid, gid int) (int, int, error)
	// Lower are the folders of the layers below, as Unpack left them, the topmost
	// first. What lies in a folder that the layer does not list leaves that folder as
	// they show it: its owner, mode, times and attributes are theirs. Where they have
	// none, or a symbolic link, it is a new one: root's, with mode 0755. Each of them
	// was unpacked with Lower itself, so what comes out depends on nothing but the
	// layers' bytes and these options, and may be kept by the chain ID. It is not
	// asked by Flatten, which sees the layers below anyway.
	Lower []string
	// Devices has device files made, which takes root. Mount what holds them with
	// "nodev". Otherwise they are skipped: a container gets its /dev elsewhere.
	Devices bool
	Limits  Limits
	// Skipped is told what was left out of an entry without failing, if it is not nil.
	Skipped func(entry, why string)
}

// Unpack unpacks one layer by itself into the folder target, as overlayfs wants a
// lower layer: see Options.UserXattr and Opaque. Nothing is at target until all of
// it was verified and is durable; its parent must exist and be on the same file
// system, and should let nobody else in, as there may be setuid files.
//
// Errors are an *Error, with ErrInvalid, ErrLimit, ErrSize, ErrMediaType, ErrNoZstd,
// ErrOwner or digest.ErrMismatch, or fs.ErrExist if target is there, or what the system says.
func Unpack(ctx context.Context, target string, b Blob, o Options) error {
	return publish(target, realDisk(), func(s *staging) error {
		overlay := overlayTrusted
		if o.UserXattr {
			overlay = overlayUser
		}
		root, err := s.folder(result)
		if err != nil {
			return err
		}
		defer root.Close()
		u, err := unpackInto(ctx, root, b, o, overlay)
		if err != nil {
			return err
		}
		if err := u.inherit(root, o.Lower); err != nil {
			return inLayer(b.Descriptor.Digest, err)
		}
		return nil
	})
}

// Flatten unpacks layers, the lowest first, over one another into the folder
// target, which is then what an overlay of them would show. A folder that a layer
// only passes through keeps what the lower layers say of it. Otherwise it is as
// Unpack.
func Flatten(ctx context.Context, target string, layers []Blob, o Options) error {
	if most := o.Limits.withDefaults().Layers; len(layers) > most {
		return &Error{Err: exceeds("%d layers, more than %d", len(layers), most)}
	}
	return publish(target, realDisk(), func(s *staging) error {
		root, err := s.folder(result)
		if err != nil {
			return err
		}
		defer root.Close()
		if err := root.Chmod(0o755); err != nil {
			return err
		}
		if err := utimes(int(root.Fd()), "", syscall.Timespec{}, syscall.Timespec{}); err != nil {
			return err
		}
		for _, b := range layers {
			if err := s.addLayer(ctx, root, b, o); err != nil {
				return err
			}
		}
		return nil
	})
}

// addLayer unpacks a layer beside root, then merges it into root.
func (s *staging) addLayer(ctx context.Context, root *os.File, b Blob, o Options) error {
	over, err := s.folder("layer")
	if err != nil {
		return err
	}
	defer over.Close()
	u, err := unpackInto(ctx, over, b, o, "")
	if err != nil {
		return err
	}
	m := merger{marks: u.marks, removals: u.removals, chown: u.owner != nil}
	if err := m.mergeFolder(int(root.Fd()), int(over.Fd())); err != nil {
		return &Error{Layer: b.Descriptor.Digest, Err: fmt.Errorf("merging: %w", err)}
	}
	return os.Remove(over.Name())
}

// unpackInto unpacks a layer into an empty folder and verifies it.
func unpackInto(ctx context.Context, root *os.File, b Blob, o Options, overlay string) (*unpacker, error) {
	limits := o.Limits.withDefaults()
	s, err := openStream(ctx, b, limits)
	if err != nil {
		return nil, inLayer(b.Descriptor.Digest, err)
	}
	defer s.close()
	u := newUnpacker(int(root.Fd()), s.meter, limits, o, overlay)
	if err := u.begin(); err != nil {
		return nil, inLayer(b.Descriptor.Digest, err)
	}
	if err := u.run(tar.NewReader(s.tar)); err != nil {
		return nil, inLayer(b.Descriptor.Digest, err)
	}
	if err := s.finish(); err != nil {
		return nil, inLayer(b.Descriptor.Digest, err)
	}
	return u, nil
}

func newUnpacker(root int, m *meter, l Limits, o Options, overlay string) *unpacker {
	u := &unpacker{
		meter: m, limits: l, overlay: overlay,
		owner: o.Owner, devices: o.Devices, skip: o.Skipped, buf: make([]byte, 128<<10),
	}
	u.tree = newTree(root, u.made)
	if overlay == "" || len(o.Lower) > 0 {
		u.marks = map[uint64]mark{}
	}
	if u.skip == nil {
		u.skip = func(string, string) {}
	}
	if u.owner == nil && os.Geteuid() == 0 {
		u.owner = func(uid, gid int) (int, int, error) { return uid, gid, nil }
	}
	return u
}

// inLayer completes an error by the layer that it is about.
func inLayer(d digest.Digest, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return &Error{d, e.Entry, classify(e.Err)}
	}
	return &Error{Layer: d, Err: classify(err)}
}
