package layer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"io"
)

// OpenTar returns the plain tar of one that somebody has here, for FromTar: by their
// first bytes gzip and zstd are known, and anything else is taken for a tar. Nothing is
// verified, as there is nothing to hold it against. The caller calls end when nothing
// more is read. ErrNoZstd, ErrInvalid.
func OpenTar(ctx context.Context, r io.Reader) (tar io.Reader, end func(), err error) {
	in := bufio.NewReaderSize(withContext(ctx, r), 64<<10)
	begins, err := in.Peek(4)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	nothing := func() {}
	switch {
	case bytes.HasPrefix(begins, []byte{0x1f, 0x8b}): // RFC 1952, 2.3.1
		z, err := gzip.NewReader(in)
		return z, nothing, classify(err)
	case isZstd(begins):
		ctx, cancel := context.WithCancel(ctx)
		z, err := startZstd(ctx, &remembering{r: in})
		if err != nil {
			cancel()
			return nil, nil, err
		}
		return z, func() { cancel(); z.wait() }, nil
	}
	return in, nothing, nil
}

// remembering is fallible for any reader.
type remembering struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (r *remembering) Read(p []byte) (n int, err error) {
	n, r.err = r.r.Read(p)
	return n, r.err
}

func (r *remembering) failure() error { return r.err }
