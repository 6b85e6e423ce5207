package archive

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

const (
	// maxFiles is how many files an archive may have, and maxLinks over how many links
	// one is reached.
	maxFiles = 100_000
	maxLinks = 8
)

// files says where in an archive the bytes of each file are.
type files struct {
	at    io.ReaderAt
	parts map[string]part
}

// part is a file of the archive, or a link to another one.
type part struct {
	offset, size int64
	link         string
}

// scan reads the headers of a tar. Names that lead out of it, one name twice, and what
// is neither file, folder nor link, are refused: nothing is unpacked here, but others
// might do so, and might see another image in it.
func scan(at io.ReaderAt, size int64) (*files, error) {
	section := io.NewSectionReader(at, 0, size)
	in := tar.NewReader(section)
	f := &files{at, map[string]part{}}
	for {
		h, err := in.Next()
		if err == io.EOF {
			return f, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		offset, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if err := f.add(h, offset, size); err != nil {
			return nil, err
		}
	}
}

func (f *files) add(h *tar.Header, offset, end int64) error {
	name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
	if name == "" || name == "." {
		return nil
	}
	if !fs.ValidPath(name) || len(name) > 4096 {
		return fmt.Errorf("%w: a file's name leads out of it", ErrInvalid)
	}
	p := part{offset: offset, size: h.Size}
	switch h.Typeflag {
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return nil
	case tar.TypeReg:
		if sparse(h) {
			return fmt.Errorf("%w: a file with holes", ErrInvalid)
		}
		if h.Size < 0 || h.Size > end-offset {
			return fmt.Errorf("%w: it ends within a file", ErrInvalid)
		}
	case tar.TypeSymlink: // old versions of docker make them of layers that are there twice
		p.link = path.Join(path.Dir(name), h.Linkname)
	case tar.TypeLink:
		p.link = path.Clean(h.Linkname)
	default:
		return fmt.Errorf("%w: a file of type %q", ErrInvalid, h.Typeflag)
	}
	if p.link != "" && !fs.ValidPath(p.link) {
		return fmt.Errorf("%w: a link leads out of it", ErrInvalid)
	}
	if _, twice := f.parts[name]; twice {
		return fmt.Errorf("%w: a name stands there twice", ErrInvalid)
	}
	if len(f.parts) == maxFiles {
		return fmt.Errorf("%w: more than %d files", ErrInvalid, maxFiles)
	}
	f.parts[name] = p
	return nil
}

// sparse tells whether a file's bytes do not lie in the archive as they are.
func sparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// find follows links to a file. fs.ErrNotExist.
func (f *files) find(name string) (part, error) {
	name = path.Clean(name)
	for range maxLinks {
		p, ok := f.parts[name]
		if !ok {
			return part{}, fmt.Errorf("%q: %w", name, fs.ErrNotExist)
		}
		if p.link == "" {
			return p, nil
		}
		name = p.link
	}
	return part{}, fmt.Errorf("%w: links lead to links", ErrInvalid)
}

func (f *files) has(name string) bool {
	_, ok := f.parts[name]
	return ok
}

// section reads a part.
func (f *files) section(p part) section {
	return section{io.NewSectionReader(f.at, p.offset, p.size)}
}

// section is closed with the archive.
type section struct{ *io.SectionReader }

// Close implements io.Closer.
func (section) Close() error { return nil }

// read returns the bytes of a file, which may be at most limit of them.
func (f *files) read(name string, limit int64) ([]byte, error) {
	p, err := f.find(name)
	if err != nil {
		return nil, err
	}
	if p.size > limit {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrInvalid, name, p.size)
	}
	raw := make([]byte, p.size)
	_, err = io.ReadFull(f.section(p), raw)
	return raw, err
}
