package client

import (
	"bytes"
	"context"
	"io"
	"sync"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step6-client/wire"
)

// Content opens the bytes of a blob from an offset on. It is called for every
// attempt to send them, while what it returned before may still be read; that is
// closed by whoever got it.
type Content func(offset int64) (io.ReadCloser, error)

// BytesContent is content that is in memory.
func BytesContent(b []byte) Content {
	return func(offset int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b[offset:])), nil
	}
}

// StoreContent is what a store has as d.
func StoreContent(ctx context.Context, s *cas.Store, d digest.Digest) Content {
	return func(offset int64) (io.ReadCloser, error) {
		o, err := s.Open(ctx, d)
		if err != nil {
			return nil, err
		}
		if _, err := o.Seek(offset, io.SeekStart); err != nil {
			o.Close()
			return nil, err
		}
		return o, nil
	}
}

// writerContent is what a writer has taken in.
func writerContent(w *cas.Writer) Content {
	return func(offset int64) (io.ReadCloser, error) {
		r, err := w.Reread()
		if err != nil {
			return nil, err
		}
		if _, err := io.CopyN(io.Discard, r, offset); err != nil {
			r.Close()
			return nil, err
		}
		return r, nil
	}
}

// counting is a body that knows how much of it was sent, the last time it was
// opened, and whether it was its own fault that it was not all.
type counting struct {
	body func() (io.ReadCloser, error)
	size int64            // how much is to be sent; -1 for all there is
	tell func(sent int64) // may be nil

	mu    sync.Mutex
	sent  int64
	fault error
}

// bytes is how much was sent, fault what kept the body from being read.
func (c *counting) bytes() (sent int64, fault error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent, c.fault
}

func (c *counting) open() (io.ReadCloser, error) {
	r, err := c.body()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent, c.fault = 0, err
	if err != nil {
		return nil, err
	}
	return &countingReader{ReadCloser: r, of: c}, nil
}

type countingReader struct {
	io.ReadCloser
	of   *counting
	sent int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	size := r.of.size
	if size >= 0 {
		if r.sent == size {
			return 0, io.EOF
		}
		p = p[:min(int64(len(p)), size-r.sent)]
	}
	n, err := r.ReadCloser.Read(p)
	r.sent += int64(n)
	if err == io.EOF && r.sent < size {
		err = io.ErrUnexpectedEOF
	}
	r.of.note(r.sent, err)
	return n, err
}

// File and Passed implement wire.File.
func (r *countingReader) File() io.Reader { return wire.FileOf(r.ReadCloser) }

func (r *countingReader) Passed(n int64) {
	wire.Passed(r.ReadCloser, n)
	r.sent += n
	r.of.note(r.sent, nil)
}

func (c *counting) note(sent int64, err error) {
	c.mu.Lock()
	c.sent = sent
	if err != nil && err != io.EOF {
		c.fault = err
	}
	c.mu.Unlock()
	if c.tell != nil {
		c.tell(sent)
	}
}
