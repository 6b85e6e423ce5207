package wire

import (
	"context"
	"io"
	"time"
)

// watch ends a request that stands still. Whatever moves kicks it.
type watch struct {
	cancel context.CancelCauseFunc
	stall  time.Duration
	timer  *time.Timer
	whole  *time.Timer // nil if what is left may take any time
}

// newWatch returns a context that ends with ErrStalled where nothing moved for so
// long.
func newWatch(ctx context.Context, stall time.Duration) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &watch{cancel: cancel, stall: stall, timer: time.AfterFunc(stall, func() { cancel(ErrStalled) })}
}

// kick says that something moved; rest that the other side is thinking, which the
// transport gives it its own time for.
func (w *watch) kick() { w.timer.Reset(w.stall) }
func (w *watch) rest() { w.timer.Stop() }

// within bounds what is left as a whole; 0 is no bound.
func (w *watch) within(d time.Duration) {
	if d > 0 {
		w.whole = time.AfterFunc(d, func() { w.cancel(ErrStalled) })
	}
}

// end lets go of the request.
func (w *watch) end() {
	w.timer.Stop()
	if w.whole != nil {
		w.whole.Stop()
	}
	w.cancel(nil)
}

// sending is the body of a request. The transport closes it when all is sent; from
// then on it is the other side's turn.
type sending struct {
	io.ReadCloser
	watch *watch
}

func (s sending) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.watch.kick()
	return n, err
}

func (s sending) Close() error {
	s.watch.rest()
	return s.ReadCloser.Close()
}

// File and Passed implement File.
func (s sending) File() io.Reader { return FileOf(s.ReadCloser) }

func (s sending) Passed(n int64) {
	Passed(s.ReadCloser, n)
	s.watch.kick()
}

// receiving is the body of a response. It ends its request's context when it is
// closed.
type receiving struct {
	io.ReadCloser
	ctx   context.Context
	watch *watch
}

func (r receiving) Read(p []byte) (int, error) {
	r.watch.kick()
	n, err := r.ReadCloser.Read(p)
	r.watch.rest() // how long the reader takes for it is not the other side's fault
	if err != nil && err != io.EOF && r.ctx.Err() != nil {
		err = context.Cause(r.ctx)
	}
	return n, err
}

func (r receiving) Close() error {
	err := r.ReadCloser.Close()
	r.watch.end()
	return err
}
