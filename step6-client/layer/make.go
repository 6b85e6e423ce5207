package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
)

// MakeOptions say how a layer is made. The zero value will do.
type MakeOptions struct {
	// Plain leaves out the compression, which is gzip otherwise.
	Plain bool
	// Level is that of gzip, from 1, fast, to 9; 0 is 6.
	Level int
	// Owner says who owns in the image what that user and group own here. Without it
	// the numbers are kept. Names never are.
	Owner func(uid, gid int) (int, int, error)
	// Time is the time of last change of everything, unless it is zero: what
	// SOURCE_DATE_EPOCH is for.
	Time time.Time
	// Skipped is told what was left out, if it is not nil.
	Skipped func(entry, why string)
}

// Made describes a layer that was made.
type Made struct {
	// Descriptor is for the manifest: the media type, the digest and the size in bytes
	// of what was written.
	Descriptor oci.Descriptor
	// DiffID is for the config: the digest of the tar.
	DiffID digest.Digest
	// Size is that of the tar, in bytes.
	Size int64
}

// FromFolder writes the layer that holds what is in a folder to w; the folder
// itself is not part of it. The same folder gives the same bytes, on any machine
// and whatever the number of its processors, as long as this program is built by
// the same version of Go. Entries stand in the order of their paths, a folder
// before what is in it; times are whole seconds. Of extended attributes there are
// security.capability and user.*; sockets are left out.
//
// A file whose name starts with ".wh." cannot be in a layer: ErrInvalid. Errors
// about a file are an *Error. What compresses better than Limits.Ratio is made all
// the same, and takes other limits to be unpacked.
func FromFolder(ctx context.Context, w io.Writer, folder string, o MakeOptions) (Made, error) {
	return makeLayer(w, o, func(m *maker) error { return m.addFolder(ctx, folder) })
}

// FromTar writes the layer that holds what is in a plain tar to w. The same tar
// gives the same bytes as in FromFolder. The entries stay in their order, since it
// means something: a hard link follows its target, and of two entries of one name
// the last counts. Whiteouts stay whiteouts, an entry for the root is left out, and
// sparse files lose their holes. A name, a header or a type that Unpack would refuse
// is refused: ErrInvalid or ErrLimit in an *Error. Where links lead is not looked at.
func FromTar(ctx context.Context, w io.Writer, r io.Reader, o MakeOptions) (Made, error) {
	return makeLayer(w, o, func(m *maker) error { return m.addTar(ctx, r) })
}

// maker writes a tar.
type maker struct {
	tar     *tar.Writer
	options MakeOptions
	limits  Limits
	entries int64
	links   map[file]string // where the files that have several names were first
	buf     []byte
}

// file is what hard links have in common.
type file struct{ dev, ino uint64 }

func makeLayer(w io.Writer, o MakeOptions, add func(*maker) error) (Made, error) {
	out := &sum{w: w, hash: digest.SHA256.New()}
	content := &sum{w: out, hash: digest.SHA256.New()}
	made := Made{Descriptor: oci.Descriptor{MediaType: oci.MediaTypeImageLayer}}
	end := func() error { return nil }
	if !o.Plain {
		if o.Level == 0 {
			o.Level = 6
		}
		if o.Level < 1 || o.Level > 9 {
			return Made{}, fmt.Errorf("gzip has the levels 1 to 9, not %d", o.Level)
		}
		made.Descriptor.MediaType = oci.MediaTypeImageLayerGzip
		z := newGzipWriter(out, o.Level)
		defer z.Close()
		content.w, end = z, z.Close
	}
	if o.Skipped == nil {
		o.Skipped = func(string, string) {}
	}
	m := &maker{
		tar: tar.NewWriter(content), options: o, limits: Limits{}.withDefaults(),
		links: map[file]string{}, buf: make([]byte, 128<<10),
	}
	for _, step := range []func() error{func() error { return add(m) }, m.tar.Close, end} {
		if err := step(); err != nil {
			if errors.Is(err, errGzip) {
				err = end() // which knows why
			}
			return Made{}, err
		}
	}
	made.Descriptor.Digest, made.Descriptor.Size = digest.SHA256.FromHash(out.hash), out.n
	made.DiffID, made.Size = digest.SHA256.FromHash(content.hash), content.n
	return made, nil
}

// sum hashes and counts what is written.
type sum struct {
	w    io.Writer
	hash hash.Hash
	n    int64
}

func (s *sum) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.hash.Write(p[:n])
	s.n += int64(n)
	return n, err
}

// add writes one entry: what of h belongs into a layer, and as many bytes of body
// as h says.
func (m *maker) add(h *tar.Header, body io.Reader) error {
	if m.entries++; m.entries > m.limits.Entries {
		return exceeds("more than %d entries", m.limits.Entries)
	}
	uid, gid := h.Uid, h.Gid
	if m.options.Owner != nil {
		var err error
		if uid, gid, err = m.options.Owner(uid, gid); err != nil {
			return fmt.Errorf("owner %d:%d: %w", h.Uid, h.Gid, err)
		}
	}
	when := h.ModTime
	if !m.options.Time.IsZero() {
		when = m.options.Time
	}
	clean := &tar.Header{
		Typeflag: h.Typeflag, Name: h.Name, Linkname: h.Linkname, Mode: h.Mode & 0o7777, Uid: uid, Gid: gid,
		ModTime: time.Unix(clampTime(when).Sec, 0), Devmajor: h.Devmajor, Devminor: h.Devminor, PAXRecords: attributes(h),
	}
	if h.Typeflag == tar.TypeReg {
		clean.Size = h.Size
	}
	if err := m.tar.WriteHeader(clean); err != nil {
		return err
	}
	if clean.Size == 0 {
		return nil
	}
	n, err := io.CopyBuffer(m.tar, io.LimitReader(body, clean.Size), m.buf)
	if err == nil && n < clean.Size {
		return fmt.Errorf("it became shorter while it was read: %d bytes, not %d", n, clean.Size)
	}
	return err
}

// attributes are the records of h that hold attributes of the image.
func attributes(h *tar.Header) map[string]string {
	kept := map[string]string{}
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, xattrRecord); ok && wanted(name) {
			kept[key] = value
		}
	}
	return kept
}

// addTar adds the entries of a tar.
func (m *maker) addTar(ctx context.Context, r io.Reader) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) { // as in unpacker.run
			return &Error{Err: classify(err)}
		}
		if err := m.addEntry(ctx, h, tr); err != nil {
			return &Error{Entry: h.Name, Err: classify(err)}
		}
	}
}

func (m *maker) addEntry(ctx context.Context, h *tar.Header, body io.Reader) error {
	if err := checkHeader(h, m.limits); err != nil || h.Typeflag == tar.TypeXGlobalHeader {
		return err
	}
	name, err := entryName(h, m.limits)
	if err != nil || name == "" {
		return err
	}
	if _, _, err := whiteout(name[strings.LastIndexByte(name, '/')+1:]); err != nil {
		return err
	}
	h.Name = name
	switch h.Typeflag {
	case tar.TypeCont, tar.TypeGNUSparse:
		h.Typeflag = tar.TypeReg
	case tar.TypeDir:
		h.Name += "/"
	case tar.TypeLink:
		if h.Linkname, err = cleanName(h.Linkname, m.limits); err != nil {
			return err
		}
	case tar.TypeReg, tar.TypeSymlink, tar.TypeFifo:
	case tar.TypeChar, tar.TypeBlock:
		if h.Devmajor == 0 && h.Devminor == 0 && h.Typeflag == tar.TypeChar {
			return invalid("a device that overlayfs would take for a whiteout")
		}
	default:
		return invalid("entry of type %q", h.Typeflag)
	}
	return m.add(h, withContext(ctx, body))
}

// withContext makes r end with ctx.
func withContext(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
