package api

import (
	"io"
	"net/http"
	"runtime"
	"time"
)

// slice is how much is handed to the kernel at a time, so that the deadline can
// be renewed in between.
const slice = 256 << 10

// patience is how long a slice may take.
func (l Limits) patience() time.Duration {
	return l.Window + slice*time.Second/time.Duration(l.Rate)
}

// paced gives every request body and response a deadline that is renewed with
// progress: a transfer of hours lives, one that stands still or dribbles ends.
func paced(h http.Handler, l Limits) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		pw := &pacedWriter{ResponseWriter: w, control: control, limits: l}
		if r.Body == nil || r.Body == http.NoBody {
			h.ServeHTTP(pw, r)
			pw.spend(0)
			return
		}
		body := &pacedBody{ReadCloser: r.Body, control: control, limits: l}
		body.renew(time.Now())
		// A copy, as the server looks at the body of its own request when it answers:
		// what the handler has left of it is read then, unless the client waits to be
		// asked for it.
		r = r.WithContext(r.Context())
		r.Body = body
		h.ServeHTTP(pw, r)
		if !body.ended {
			body.renew(time.Now())
		}
		pw.spend(0) // for what the server has buffered
	})
}

// pacedBody asks for Window * Rate bytes in each Window.
type pacedBody struct {
	io.ReadCloser
	control  *http.ResponseController
	limits   Limits
	deadline time.Time
	since    time.Time // when the handler turned to something else
	left     int64     // bytes to come before the deadline is renewed
	ended    bool
}

func (b *pacedBody) renew(now time.Time) {
	b.left = int64(b.limits.Window.Seconds() * float64(b.limits.Rate))
	b.since = now
	b.deadline = now.Add(b.limits.Window)
	b.control.SetReadDeadline(b.deadline)
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if b.ended {
		return b.ReadCloser.Read(p)
	}
	now := time.Now()
	if b.left <= 0 {
		b.renew(now)
	} else if away := now.Sub(b.since); away > time.Second { // is not the client's time
		b.deadline = b.deadline.Add(away)
		b.control.SetReadDeadline(b.deadline)
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	b.since = time.Now()
	b.ended = err == io.EOF // net/http ends the deadline then
	return n, err
}

// pacedWriter writes in slices, each of which has a deadline of its own. It
// passes ReadFrom on, so that the kernel still sends files.
type pacedWriter struct {
	http.ResponseWriter
	control  *http.ResponseController
	limits   Limits
	deadline time.Time
	left     int64 // bytes to go before the deadline is renewed
}

// Unwrap lets http.ResponseController find what is beneath.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// renew lets others run first: to send from memory to a fast client takes no turn of
// waiting, and of many such each would keep its processor for ten milliseconds.
func (w *pacedWriter) renew() {
	if !w.deadline.IsZero() {
		runtime.Gosched()
	}
	w.left = slice
	w.deadline = time.Now().Add(w.limits.patience())
	w.control.SetWriteDeadline(w.deadline)
}

// spend renews the deadline where there is none yet, where n bytes are more than it
// was given for, and where it passed while the handler had nothing to write.
func (w *pacedWriter) spend(n int64) {
	if n > w.left || !time.Now().Before(w.deadline) {
		w.renew()
	}
	w.left -= n
}

func (w *pacedWriter) Write(p []byte) (total int, err error) {
	for {
		piece := p[:min(len(p), slice)]
		w.spend(int64(len(piece)))
		n, err := w.ResponseWriter.Write(piece)
		total += n
		if p = p[len(piece):]; err != nil || len(p) == 0 {
			return total, err
		}
	}
}

// ReadFrom takes a LimitedReader apart rather than wrapping it: the net package
// looks for a file behind one limit, not behind two.
func (w *pacedWriter) ReadFrom(src io.Reader) (total int64, err error) {
	rest := int64(-1)
	if limited, ok := src.(*io.LimitedReader); ok {
		src, rest = limited.R, max(limited.N, 0)
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
