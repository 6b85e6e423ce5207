package observe

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
)

// writer notes what is answered. It passes ReadFrom on, so that the kernel still sends
// files.
type writer struct {
	http.ResponseWriter
	record *record
	err    error // the first one
}

// Unwrap lets http.ResponseController find what is beneath.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes the status, but for one that another will follow.
func (w *writer) WriteHeader(status int) {
	if w.record.Status == 0 && status >= http.StatusOK {
		w.record.Status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write notes the bytes.
func (w *writer) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.note(int64(n), err)
	return n, err
}

// ReadFrom notes the bytes.
func (w *writer) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, src)
	w.note(n, err)
	return n, err
}

func (w *writer) note(n int64, err error) {
	w.record.Sent += n
	if w.err == nil && !errors.Is(err, http.ErrBodyNotAllowed) { // there was none to be sent
		w.err = err
	}
}

// body notes what is read of a request.
type body struct {
	io.ReadCloser
	record *record
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.record.Received += int64(n)
	if err != nil && (errors.Is(err, io.ErrUnexpectedEOF) || isClients(err)) {
		b.record.Gone = true
	}
	return n, err
}

// isClients tells whether a connection failed at its other end. Not all that happens while
// bytes are sent does: the kernel sends files, and the disk may fail it.
func isClients(err error) bool {
	for _, cause := range []error{
		syscall.EPIPE, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
		os.ErrDeadlineExceeded, net.ErrClosed, context.Canceled,
	} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}
