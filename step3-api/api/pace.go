package api

import (
	"io"
	"net/http"
	"time"
)

// slice is how much of a file is handed to the kernel at a time, so that the
// deadline can be renewed in between.
const slice = 256 << 10

// paced gives every request body and response a deadline that is renewed with
// progress: a transfer of hours lives, one that stands still or dribbles ends.
func paced(h http.Handler, l Limits) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &pacedBody{ReadCloser: r.Body, control: c, limits: l}
		}
		h.ServeHTTP(&pacedWriter{ResponseWriter: w, control: c, limits: l}, r)
	})
}

type pacedBody struct {
	io.ReadCloser
	control *http.ResponseController
	limits  Limits
	started bool
	left    int64 // bytes to come before the deadline is renewed
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if !b.started || b.left <= 0 {
		b.started = true
		b.left = int64(b.limits.Window.Seconds() * float64(b.limits.Rate))
		b.control.SetReadDeadline(time.Now().Add(b.limits.Window))
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if err == io.EOF {
		// The server goes on reading, to notice when the client leaves, and would
		// take this deadline for that.
		b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// pacedWriter passes ReadFrom on, in slices, so that the kernel still sends
// files.
type pacedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	limits  Limits
	left    int64 // bytes to go before the deadline is renewed
}

// Unwrap lets http.ResponseController find what is beneath.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// spend renews the deadline once what it was given for has been written.
func (w *pacedWriter) spend(n int64) {
	if w.left <= 0 {
		w.left = slice
		w.control.SetWriteDeadline(time.Now().Add(w.limits.Window + time.Duration(slice/w.limits.Rate)*time.Second))
	}
	w.left -= n
}

func (w *pacedWriter) Write(p []byte) (int, error) {
	w.spend(int64(len(p)))
	return w.ResponseWriter.Write(p)
}

// ReadFrom takes a LimitedReader apart rather than wrapping it: the net package
// looks for a file behind one limit, not behind two.
func (w *pacedWriter) ReadFrom(src io.Reader) (total int64, err error) {
	rest := int64(-1)
	if limited, ok := src.(*io.LimitedReader); ok {
		src, rest = limited.R, limited.N
		defer func() { limited.N -= total }()
	}
	for rest != 0 {
		piece := io.LimitedReader{R: src, N: slice}
		if rest > 0 {
			piece.N = min(slice, rest)
		}
		asked := piece.N
		w.spend(asked)
		n, err := io.Copy(w.ResponseWriter, &piece)
		total += n
		if err != nil || n < asked {
			return total, err
		}
		if rest > 0 {
			rest -= n
		}
	}
	return total, nil
}
