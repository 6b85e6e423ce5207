package wire

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// File is a body whose bytes are those of a file, so that the kernel can send them
// without a copy: sendfile(2). Who wraps such a body passes both methods on.
type File interface {
	// File is what the next bytes are read from, a syscall.Conn; nil if it is none.
	File() io.Reader
	// Passed takes notice of n bytes that went without Read.
	Passed(n int64)
}

// FileOf is the file behind r, nil if there is none.
func FileOf(r io.Reader) io.Reader {
	if f, ok := r.(File); ok {
		return f.File()
	}
	if _, ok := r.(syscall.Conn); ok {
		return r
	}
	return nil
}

// Passed tells r of bytes that went without its Read, if it wants to know.
func Passed(r io.Reader, n int64) {
	if f, ok := r.(File); ok {
		f.Passed(n)
	}
}

// slice is how much of a file is sent before that is taken notice of, in bytes.
const slice = 256 << 10

// conn is a connection that sends files, and notes when it broke.
type conn struct {
	net.Conn
	broken *atomic.Int64 // nanoseconds since 1970
}

// Read implements net.Conn.
func (c conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) { // by ourselves
		c.broken.Store(time.Now().UnixNano())
	}
	return n, err
}

// ReadFrom implements io.ReaderFrom. It takes the limit apart under which net/http
// hands a body on: the net package looks for a file behind one limit and nothing else.
func (c conn) ReadFrom(r io.Reader) (total int64, err error) {
	to, ok := c.Conn.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{c.Conn}, r)
	}
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		return to.ReadFrom(r)
	}
	body := limited.R
	file := FileOf(body)
	for file != nil && limited.N > 0 {
		asked := min(slice, limited.N)
		n, err := to.ReadFrom(&io.LimitedReader{R: file, N: asked})
		Passed(body, n)
		total += n
		limited.N -= n
		if err != nil {
			return total, err
		}
		if n < asked { // the file is shorter: the body knows how to say that
			break
		}
	}
	n, err := to.ReadFrom(limited)
	return total + n, err
}
