package observe

import (
	"io"
	"net/http"
)

// writer notes what is answered. It passes ReadFrom on, so that the kernel still sends
// files.
type writer struct {
	http.ResponseWriter
	record *record
}

// Unwrap lets http.ResponseController find what is beneath.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes the status, but for one that another will follow.
func (w *writer) WriteHeader(status int) {
	if w.record.status == 0 && status >= http.StatusOK {
		w.record.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write notes the bytes.
func (w *writer) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.record.out += int64(n)
	return n, err
}

// ReadFrom notes the bytes.
func (w *writer) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, src)
	w.record.out += n
	return n, err
}

// body notes what is read of a request.
type body struct {
	io.ReadCloser
	record *record
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.record.in += int64(n)
	return n, err
}
