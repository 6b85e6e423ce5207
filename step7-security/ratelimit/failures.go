package ratelimit

import (
	"context"
	"sync"
	"time"
)

// Failures bounds the attempts of a source that fail, such as wrong passwords. Those
// that succeed cost nothing, and other sources do not notice.
type Failures struct {
	limits Limits
	mu     sync.Mutex
	table  *table
}

// NewFailures returns one that lets a source fail as r says, and holds further
// attempts up for so long as wait, queue of them at a time. It remembers so many
// sources at most.
func NewFailures(r Rate, queue int, wait time.Duration, sources int) *Failures {
	l := Limits{Requests: r, Queue: queue, Wait: wait}
	return &Failures{limits: l, table: newTable(l, sources)}
}

// Attempt lets a source try, maybe after a while. done is called once with whether it
// succeeded; until then it counts as if it had failed. ErrRefused, and the error of
// ctx.
func (f *Failures) Attempt(ctx context.Context, key string) (done func(succeeded bool), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.table.come(key, time.Now())
	if err := f.wait(ctx, s); err != nil {
		f.table.leave(s)
		return nil, err
	}
	return func(succeeded bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if succeeded {
			s.requests.give(1)
			if s.changed != nil {
				close(s.changed)
				s.changed = nil
			}
		}
		f.table.leave(s)
	}, nil
}

// wait takes a token as soon as there is one. mu is held, but not while it waits.
func (f *Failures) wait(ctx context.Context, s *source) error {
	late := time.Now().Add(f.limits.Wait)
	for {
		now := time.Now()
		due, paid := s.requests.take(now, 1, maxAdvance)
		if due == 0 {
			return nil
		}
		s.requests.give(paid)
		if s.waiting >= f.limits.Queue || !now.Before(late) {
			return &RefusedError{due}
		}
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.waiting++
		f.mu.Unlock()
		err := pause(ctx, changed, min(due, late.Sub(now)))
		f.mu.Lock()
		s.waiting--
		if err != nil {
			return err
		}
	}
}

// pause is sleep, but no longer than until changed is closed.
func pause(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
