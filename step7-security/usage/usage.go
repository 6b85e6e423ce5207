// Package usage counts what a store holds, now and then and slowly, so that it can be asked
// for at any time.
package usage

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"sync"
	"time"

	"shibafu.dev/step2-cas/bucket"
)

// What Options are where they are not set.
const (
	DefaultFirst = time.Minute
	DefaultEvery = 15 * time.Minute
	DefaultPace  = 20_000
)

// Options say when it is counted, and how fast.
type Options struct {
	// First is how long after the start it is counted for the first time, and Every how
	// long after that it is again. 0 stands for the default.
	First, Every time.Duration
	// Pace is how many blobs are counted in a second; 0 stands for the default. Each costs
	// the disk a look at its folder, and may push something else out of memory.
	Pace int
	// Log is told when it could not be counted; nil if nobody is.
	Log *slog.Logger
}

// Usage is what a store holds.
type Usage struct {
	Blobs int64
	// Bytes are those of the blobs. What they take on the disk is a little more.
	Bytes int64
}

// Counter counts. Its methods may be called at once from many goroutines.
type Counter struct {
	blobs func(ctx context.Context) iter.Seq2[bucket.Info, error]
	opts  Options
	asked chan struct{}

	mu   sync.Mutex
	last Usage
	at   time.Time
}

// Blobs lists the blobs of a bucket that has the layout cas.Distribution or cas.OCI, as New
// wants them. Nothing is read but the listing.
func Blobs(b bucket.Bucket) func(ctx context.Context) iter.Seq2[bucket.Info, error] {
	return func(ctx context.Context) iter.Seq2[bucket.Info, error] { return b.List(ctx, "blobs/", "", false) }
}

// New returns a Counter of what blobs lists. Whoever calls it calls Run.
func New(blobs func(ctx context.Context) iter.Seq2[bucket.Info, error], o Options) *Counter {
	o.First, o.Every, o.Pace = cmp.Or(o.First, DefaultFirst), cmp.Or(o.Every, DefaultEvery), cmp.Or(o.Pace, DefaultPace)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Counter{blobs: blobs, opts: o, asked: make(chan struct{}, 1)}
}

// Last is what was counted last, and when that was finished; the time is zero if it never
// was.
func (c *Counter) Last() (Usage, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last, c.at
}

// Ask has it counted soon. It does not wait for that.
func (c *Counter) Ask() {
	select {
	case c.asked <- struct{}{}:
	default: // it is about to be
	}
}

// Run counts until ctx ends.
func (c *Counter) Run(ctx context.Context) {
	next := time.NewTimer(c.opts.First)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		case <-c.asked:
		}
		if err := c.Count(ctx); err != nil && ctx.Err() == nil {
			c.opts.Log.Error("what the store holds could not be counted", "cause", err)
		}
		next.Reset(c.opts.Every)
	}
}

// tick is how often the pace is kept.
const tick = 50 * time.Millisecond

// Count counts now. After an error the count before stays.
func (c *Counter) Count(ctx context.Context) error {
	var sum Usage
	some := int64(max(1, c.opts.Pace/int(time.Second/tick)))
	for info, err := range c.blobs(ctx) {
		if err != nil {
			return err
		}
		sum.Blobs++
		sum.Bytes += info.Size
		if sum.Blobs%some != 0 {
			continue
		}
		if err := sleep(ctx, tick); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.at = sum, time.Now()
	return nil
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
