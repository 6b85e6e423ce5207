package ratelimithttp

import (
	"context"
	"io"
	"net/http"

	"shibafu.dev/step7-security/ratelimit"
)

// slicedBody reads as fast as the visit may.
type slicedBody struct {
	io.ReadCloser
	visit *ratelimit.Visit
	ctx   context.Context
}

func (b *slicedBody) Read(p []byte) (int, error) {
	if err := b.visit.Await(b.ctx); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.visit.Slice())])
	b.visit.Count(int64(n))
	return n, err
}

// slicedWriter writes as fast as the visit may. It passes ReadFrom on, so that the
// kernel still sends files.
type slicedWriter struct {
	http.ResponseWriter
	visit *ratelimit.Visit
	ctx   context.Context
}

// Unwrap lets http.ResponseController find what is beneath.
func (w *slicedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *slicedWriter) Write(p []byte) (total int, err error) {
	for {
		piece := p[:min(int64(len(p)), w.visit.Slice())]
		if err := w.visit.Await(w.ctx); err != nil {
			return total, err
		}
		n, err := w.ResponseWriter.Write(piece)
		w.visit.Count(int64(n))
		total += n
		if p = p[len(piece):]; err != nil || len(p) == 0 {
			return total, err
		}
	}
}

// ReadFrom takes a LimitedReader apart rather than wrapping it: the net package looks
// for a file behind one limit, not behind two.
func (w *slicedWriter) ReadFrom(src io.Reader) (total int64, err error) {
	rest := int64(-1)
	if limited, ok := src.(*io.LimitedReader); ok {
		src, rest = limited.R, max(limited.N, 0)
		defer func() { limited.N -= total }()
	}
	for rest != 0 {
		piece := io.LimitedReader{R: src, N: w.visit.Slice()}
		if rest > 0 {
			piece.N = min(piece.N, rest)
		}
		asked := piece.N
		if err := w.visit.Await(w.ctx); err != nil {
			return total, err
		}
		n, err := io.Copy(w.ResponseWriter, &piece)
		total += n
		w.visit.Count(n)
		if err != nil || n < asked {
			return total, err
		}
		if rest > 0 {
			rest -= n
		}
	}
	return total, nil
}
