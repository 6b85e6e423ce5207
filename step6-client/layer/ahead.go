package layer

import (
	"context"
	"io"
)

// ahead reads in a goroutine of its own, some blocks ahead: to decompress a layer
// takes about as long as to write its files, so two processors take half the time.
type ahead struct {
	full chan block
	free chan []byte
	cur  block
	rest []byte // of cur
	done chan struct{}
}

type block struct {
	buf []byte
	n   int
	err error
}

const (
	aheadBlocks = 4
	aheadSize   = 256 << 10
)

// readAhead begins to read r, until its end or that of ctx; then done is closed.
func readAhead(ctx context.Context, r io.Reader) *ahead {
	a := &ahead{
		full: make(chan block, aheadBlocks+1),
		free: make(chan []byte, aheadBlocks),
		done: make(chan struct{}),
	}
	for range aheadBlocks {
		a.free <- nil // made when it is needed, which it is not for a small layer
	}
	go a.run(ctx, r)
	return a
}

func (a *ahead) run(ctx context.Context, r io.Reader) {
	defer close(a.done)
	for {
		var b block
		select {
		case b.buf = <-a.free:
		case <-ctx.Done():
			a.full <- block{err: ctx.Err()} // has room for one more than there are buffers
			return
		}
		if b.buf == nil {
			b.buf = make([]byte, aheadSize)
		}
		for b.n < len(b.buf) && b.err == nil {
			var n int
			n, b.err = r.Read(b.buf[b.n:])
			b.n += n
		}
		a.full <- b
		if b.err != nil {
			return
		}
	}
}

// Read returns the error of the reader once all that came before it was read.
func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.cur.err != nil {
			return 0, a.cur.err
		}
		if a.cur.buf != nil {
			a.free <- a.cur.buf
		}
		a.cur = <-a.full
		a.rest = a.cur.buf[:a.cur.n]
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}
