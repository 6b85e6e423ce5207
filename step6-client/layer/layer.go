// Package layer makes the layers of images and unpacks them. A layer is a tar
// archive, mostly compressed, of what changed against the layers below it; a file
// whose name starts with ".wh." says that something of theirs is gone.
//
// What is unpacked comes from strangers, so the package is written from that end.
// Where to begin reading: read.go is the way of a byte from the blob to the tar,
// and where it is verified and measured; name.go says which names are refused;
// tree.go is the folder that nothing leaves, at.go the system calls that this rests
// on; unpack.go, node.go and meta.go put one entry there, whiteout.go what removes;
// merge.go lays one layer over others, lower.go looks at others below one; apply.go
// has Unpack and Flatten, staging.go gives what they made its name once it is
// durable, and remove.go takes it away. make.go, folder.go and gzip.go are the way
// back, opentar.go what it may begin with.
//
// Source: OCI image specification, layer.md.
package layer

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
)

var (
	// ErrInvalid says that a layer is damaged, or holds what no honest one does.
	ErrInvalid = errors.New("invalid layer")
	// ErrLimit says that a layer is beyond one of the Limits.
	ErrLimit = errors.New("layer exceeds a limit")
	// ErrSize says that a blob is not as long as its descriptor says.
	ErrSize = errors.New("size differs from the descriptor's")
	// ErrMediaType says that a layer of this media type cannot be unpacked.
	ErrMediaType = errors.New("not a layer that can be unpacked")
	// ErrOwner says that an entry belongs to somebody who is not in the user namespace.
	ErrOwner = errors.New("this user namespace has no such user or group: map more into it (subuid(5), newuidmap(1)), or have others stand for them")
	// ErrNoZstd says that the program zstd is needed and not installed.
	ErrNoZstd = errors.New("a zstd layer needs the program zstd, which is not in PATH: install it, or have the image converted to gzip")
)

// Error says which entry of which layer an error is about.
type Error struct {
	Layer digest.Digest // zero where a layer is being made
	Entry string        // "" if it is about the whole
	Err   error
}

// Error quotes the entry, as its name may hold anything.
func (e *Error) Error() string {
	text := "layer"
	if !e.Layer.IsZero() {
		text += " " + e.Layer.String()
	}
	if e.Entry != "" {
		text += fmt.Sprintf(": entry %q", shorten(e.Entry))
	}
	return text + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// shorten keeps an error readable whose entry has a name of a megabyte.
func shorten(name string) string {
	const most = 300
	if len(name) <= most {
		return name
	}
	return name[:most] + "…"
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

func exceeds(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrLimit, fmt.Sprintf(format, args...))
}

// classify makes an ErrInvalid of what the readers of the standard library say
// about bytes that are not what they should be.
func classify(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case err == nil, errors.Is(err, ErrInvalid):
		return err
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &corrupt),
		strings.HasPrefix(err.Error(), "archive/tar: "): // not all that it finds wrong has an exported name
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return err
}

// Limits bound what one layer may cost. A field that is 0 has its default.
type Limits struct {
	// Entries is how many entries a layer has, with the folders that are made
	// because an entry lies in them: 1,000,000.
	Entries int64
	// Bytes is the length of the tar, and also of all its files together, where the
	// holes of sparse ones count: 64 GiB.
	Bytes int64
	// Ratio is how many bytes a compressed byte may become, once the first 32 MiB
	// are there: 200.
	Ratio int64
	// Depth is how many folders deep an entry may lie: 255.
	Depth int
	// Path is how many bytes a path may have: 4095, which is what Linux takes.
	Path int
	// Records is how many bytes the PAX records of an entry may have, its extended
	// attributes among them: 256 KiB. More than 1 MiB is refused in any case.
	Records int
	// Layers is how many layers Flatten takes: 500, which is what overlayfs takes.
	Layers int
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.Entries, 1_000_000)
	orDefault(&l.Bytes, 64<<30)
	orDefault(&l.Ratio, 200)
	orDefault(&l.Depth, 255)
	orDefault(&l.Path, 4095)
	orDefault(&l.Records, 256<<10)
	orDefault(&l.Layers, 500)
	return l
}

func orDefault[T int | int64](v *T, otherwise T) {
	if *v == 0 {
		*v = otherwise
	}
}
