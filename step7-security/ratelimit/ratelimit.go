// Package ratelimit bounds what one source may take: requests, bytes, and requests at
// once. A source that takes more waits first, for a short time and with few others;
// then it is told to come back later. What has begun is slowed down and not ended.
//
// Reading order: ratelimit.go, bucket.go, table.go (who is remembered), failures.go
// (wrong passwords).
package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// ErrRefused says that a source takes too much. It is a *RefusedError.
var ErrRefused = errors.New("ratelimit: too much from one source")

// RefusedError says when to come back.
type RefusedError struct{ After time.Duration }

func (e *RefusedError) Error() string { return fmt.Sprintf("%v: again in %v", ErrRefused, e.After) }

// RetryAfter is After, for who knows of errors only that they may say so.
func (e *RefusedError) RetryAfter() time.Duration { return e.After }

// Is makes errors.Is(e, ErrRefused) true.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

// Limits are those of each source.
type Limits struct {
	Requests Rate
	// Bytes count in both directions.
	Bytes Rate
	// AtOnce is how many requests run at once; 0 is no limit.
	AtOnce int
	// Queue is how many requests wait, each for so long as Wait at most.
	Queue int
	Wait  time.Duration
}

// AddressKey is the source that an address belongs to: an IPv6 address is one of
// 2^64 that its network may give to one machine.
func AddressKey(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// Limiter knows the sources. Its methods may be called at once from many
// goroutines.
type Limiter struct {
	limits Limits
	mu     sync.Mutex
	table  *table
	stats  Stats
}

// Stats are counts of requests since a Limiter was made.
type Stats struct {
	// Waited are those that had to wait, whatever became of them; Refused those that were.
	Waited, Refused uint64
	// Waiting are those that wait now.
	Waiting int
}

// Stats are the counts of now.
func (l *Limiter) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// begin and end are called around a wait. mu is held.
func (l *Limiter) begin() { l.stats.Waited, l.stats.Waiting = l.stats.Waited+1, l.stats.Waiting+1 }
func (l *Limiter) end()   { l.stats.Waiting-- }

// New returns a Limiter that remembers so many sources at most.
func New(l Limits, sources int) *Limiter {
	return &Limiter{limits: l, table: newTable(l, sources)}
}

// Visit is a request that was let in.
type Visit struct {
	limiter *Limiter
	source  *source
}

// maxAdvance is how far ahead requests that are not refused are spread.
const maxAdvance = time.Minute

// Enter lets a request of the source in, maybe after a while; the Visit must be left.
// ErrRefused, and the error of ctx. One that goes on with what was begun is never
// refused, but waits for its turn.
func (l *Limiter) Enter(ctx context.Context, key string, goesOn bool) (*Visit, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	s := l.table.come(key, now)
	err := l.token(ctx, s, goesOn)
	if err == nil {
		err = l.turn(ctx, s, goesOn, l.limits.Wait-time.Since(now))
	}
	if err != nil {
		if errors.Is(err, ErrRefused) {
			l.stats.Refused++
		}
		l.table.leave(s)
		return nil, err
	}
	return &Visit{l, s}, nil
}

// token waits for the right to one more request. mu is held, but not while it waits.
func (l *Limiter) token(ctx context.Context, s *source, goesOn bool) error {
	wait, paid := s.requests.take(time.Now(), 1, maxAdvance)
	if wait == 0 {
		return nil
	}
	if !goesOn && (wait > l.limits.Wait || s.waiting >= l.limits.Queue) {
		s.requests.give(paid)
		return &RefusedError{wait}
	}
	s.waiting++
	l.begin()
	l.mu.Unlock()
	err := sleep(ctx, wait)
	l.mu.Lock()
	l.end()
	s.waiting--
	if err != nil {
		s.requests.give(paid)
	}
	return err
}

// turn waits until there are few enough running. mu is held, but not while it waits.
func (l *Limiter) turn(ctx context.Context, s *source, goesOn bool, wait time.Duration) error {
	if l.limits.AtOnce <= 0 || s.running < l.limits.AtOnce {
		s.running++
		return nil
	}
	if !goesOn && (len(s.queue) >= l.limits.Queue || wait <= 0) {
		return &RefusedError{time.Second}
	}
	mine := make(chan struct{})
	s.queue = append(s.queue, mine)
	l.begin()
	defer l.end()
	l.mu.Unlock()
	var late <-chan time.Time
	if !goesOn {
		late = time.After(wait)
	}
	var err error
	select {
	case <-mine:
	case <-ctx.Done():
		err = ctx.Err()
	case <-late:
		err = &RefusedError{time.Second}
	}
	l.mu.Lock()
	if err == nil {
		return nil
	}
	if i := slices.Index(s.queue, mine); i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
	} else { // its turn came in that moment
		s.next()
	}
	return err
}

// next hands the place of a request that ended to the one that waits longest.
func (s *source) next() {
	if len(s.queue) == 0 {
		s.running--
		return
	}
	close(s.queue[0])
	s.queue = slices.Delete(s.queue, 0, 1)
}

// Leave ends the visit. It is called once.
func (v *Visit) Leave() {
	v.limiter.mu.Lock()
	defer v.limiter.mu.Unlock()
	v.source.next()
	v.limiter.table.leave(v.source)
}

// The bounds of a slice, in bytes.
const (
	minSlice = 4 << 10
	maxSlice = 1 << 20
)

// Slice is how many bytes to move between two calls of Await: a quarter of a second's,
// within bounds. It is 0 if bytes are not limited.
func (v *Visit) Slice() int64 {
	if rate := v.limiter.limits.Bytes.PerSecond; rate > 0 {
		return int64(min(max(rate/4, minSlice), maxSlice))
	}
	return 0
}

// Await waits until the source may move bytes again. The error is that of ctx.
func (v *Visit) Await(ctx context.Context) error {
	v.limiter.mu.Lock()
	wait, _ := v.source.bytes.take(time.Now(), 0, 0)
	v.limiter.mu.Unlock()
	if wait == 0 {
		return nil
	}
	return sleep(ctx, wait)
}

// Count counts n bytes that were moved.
func (v *Visit) Count(n int64) {
	v.limiter.mu.Lock()
	defer v.limiter.mu.Unlock()
	v.source.bytes.take(time.Now(), float64(n), math.MaxInt64)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
