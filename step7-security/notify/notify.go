// Package notify tells others what happens in a registry, in the words of the CNCF
// distribution registry's notifications.
//
// Of what changes something, an event is written in the same Write as the change: a
// Notifier is a repo.Outbox. It lies in the bucket until its target has taken it, so it
// outlives the process, and arrives at least once; in order, as long as its target takes
// it. Pulls change nothing, and are kept in memory: those of a process that ends are lost.
//
// Reading order: event.go (what is told), target.go (to whom), notify.go (what runs),
// record.go (how events come in), queue.go (where they wait), bounds.go (how many),
// deliver.go (how they get away), sign.go, status.go, file.go (targets that follow a file).
package notify

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"shibafu.dev/step2-cas/bucket"
)

// Options are what a Notifier works with.
type Options struct {
	// Bucket is the one that the repositories are in.
	Bucket bucket.Bucket
	Sender Sender
	// Cause says why something happens, by the context that it happens in; nil for never.
	Cause  func(context.Context) Cause
	Source Source
	Limits Limits
	// Log may be nil.
	Log *slog.Logger
}

// Limits bound what waits for one target. What is too much is dropped, the oldest first.
// A delivery that is under way does not count.
type Limits struct {
	// Events is how many that change something, 10,000 if it is 0, and Bytes how large they
	// are together, 64 MiB if it is 0.
	Events int
	Bytes  int64
	// Pulls is how many pulls, 1,000 if it is 0.
	Pulls int
	// Age is how old an event may get, 7 days if it is 0.
	Age time.Duration
}

// Notifier is the events that wait, and what takes them to their targets. It is a
// repo.Outbox. Its methods may be called at once from many goroutines.
type Notifier struct {
	opts  Options
	clock clock

	changing sync.Mutex // of the targets, one at a time
	mu       sync.RWMutex
	queues   []*queue        // by name
	running  context.Context // nil outside of Run
	workers  sync.WaitGroup
}

// Open takes up what waits for the targets, and drops what waits for anybody else.
func Open(ctx context.Context, o Options, targets []*Target) (*Notifier, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Cause == nil {
		o.Cause = func(context.Context) Cause { return Cause{} }
	}
	o.Limits = Limits{
		cmp.Or(o.Limits.Events, 10_000), cmp.Or(o.Limits.Bytes, 64<<20),
		cmp.Or(o.Limits.Pulls, 1_000), cmp.Or(o.Limits.Age, 7*24*time.Hour),
	}
	n := &Notifier{opts: o}
	if err := n.Use(ctx, targets); err != nil {
		return nil, err
	}
	return n, nil
}

// Use makes these the targets, in the place of those before. What waits for one that is not
// among them is dropped. After an error all is as before.
func (n *Notifier) Use(ctx context.Context, targets []*Target) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	n.mu.RLock()
	old := map[string]*queue{}
	for _, q := range n.queues {
		old[q.name] = q
	}
	n.mu.RUnlock()
	var queues, added []*queue
	for _, t := range targets {
		q := old[t.Name]
		if q == nil {
			q = newQueue(n, t)
			if err := q.load(ctx); err != nil {
				return err
			}
			added = append(added, q)
		}
		queues = append(queues, q)
	}
	slices.SortFunc(queues, func(a, b *queue) int { return strings.Compare(a.name, b.name) })
	n.mu.Lock()
	n.queues = queues
	for _, q := range added {
		n.start(q)
	}
	n.mu.Unlock()
	for _, t := range targets {
		if q := old[t.Name]; q != nil {
			q.use(t)
			delete(old, t.Name)
		}
	}
	for q := range maps.Values(old) {
		q.close()
	}
	return n.clean(ctx, targets)
}

// clean drops what lies in the folders of nobody.
func (n *Notifier) clean(ctx context.Context, targets []*Target) error {
	var gone []string
	for info, err := range n.opts.Bucket.List(ctx, queuesFolder, "", true) {
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(info.Key, queuesFolder), "/")
		if !slices.ContainsFunc(targets, func(t *Target) bool { return t.Name == name }) {
			gone = append(gone, name)
		}
	}
	for _, name := range gone {
		var keys []string
		for info, err := range n.opts.Bucket.List(ctx, queuesFolder+name+"/", "", false) {
			if err != nil {
				return err
			}
			keys = append(keys, info.Key)
		}
		if len(keys) == 0 {
			continue // a folder that is about to go
		}
		if err := erase(ctx, n.opts.Bucket, keys); err != nil {
			return err
		}
		n.opts.Log.Warn("there is no such webhook any more: what waited for it is dropped", "target", name, "events", len(keys))
	}
	return nil
}

// Run delivers until ctx ends.
func (n *Notifier) Run(ctx context.Context) {
	n.mu.Lock()
	n.running = ctx
	for _, q := range n.queues {
		n.start(q)
	}
	n.mu.Unlock()
	<-ctx.Done()
	n.mu.Lock()
	n.running = nil
	n.mu.Unlock()
	n.workers.Wait()
	for _, q := range n.all() {
		q.forgetPulls()
	}
}

// start lets a queue be delivered, if any is now. n.mu is held.
func (n *Notifier) start(q *queue) {
	if n.running == nil {
		return
	}
	ctx, stop := context.WithCancel(n.running)
	q.setStop(stop)
	n.workers.Go(func() { q.deliver(ctx) })
	n.workers.Go(func() { q.keepBounds(ctx) })
}

func (n *Notifier) all() []*queue {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.queues
}
