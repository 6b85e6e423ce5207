package archive

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	// maxRatio is how often more a compressed archive may hold than it has bytes,
	// beyond freeBytes: what is larger is made to fill disks.
	maxRatio  = 200
	freeBytes = 32 << 20
)

// File is an archive on the disk.
type File struct {
	*Reader
	file *os.File
}

// Close lets go of the file. What was opened from it cannot be read any more.
func (f *File) Close() error { return f.file.Close() }

// OpenFile reads the archive at path. A compressed one (gzip) is unpacked into a
// temporary file first, as its parts are read in another order than they stand in.
func OpenFile(path string) (*File, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := in.Stat()
	begin := make([]byte, 2)
	if err == nil && info.Mode().IsRegular() {
		if _, err = io.ReadFull(in, begin); err == nil && !bytes.Equal(begin, []byte{0x1f, 0x8b}) {
			return newFile(in)
		}
		if err == nil {
			_, err = in.Seek(0, io.SeekStart)
		}
	}
	if err != nil {
		in.Close()
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	defer in.Close()
	return Spool(in)
}

// Spool reads an archive that comes once, such as from a pipe, by way of a temporary
// file.
func Spool(in io.Reader) (*File, error) {
	tmp, err := os.CreateTemp("", "shibafu-archive-")
	if err != nil {
		return nil, err
	}
	// It goes when it is closed, however that comes to pass.
	if err := os.Remove(tmp.Name()); err != nil {
		return nil, errors.Join(err, tmp.Close())
	}
	if err := unpack(tmp, in); err != nil {
		return nil, errors.Join(err, tmp.Close())
	}
	return newFile(tmp)
}

func newFile(f *os.File) (*File, error) {
	info, err := f.Stat()
	if err == nil {
		var r *Reader
		if r, err = NewReader(f, info.Size()); err == nil {
			return &File{r, f}, nil
		}
	}
	return nil, errors.Join(err, f.Close())
}

// unpack copies in, uncompressed.
func unpack(out io.Writer, in io.Reader) error {
	count := &counter{r: in}
	buffered := bufio.NewReader(count)
	begin, _ := buffered.Peek(2)
	if !bytes.Equal(begin, []byte{0x1f, 0x8b}) {
		_, err := io.Copy(out, buffered)
		return err
	}
	plain, err := gzip.NewReader(buffered)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	for total := int64(0); ; {
		n, err := io.CopyN(out, plain, 1<<20)
		total += n
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case total > freeBytes && total/maxRatio > count.n:
			return fmt.Errorf("%w: it unpacks to more than %d times its size", ErrInvalid, maxRatio)
		}
	}
}

type counter struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
