package notify

import (
	"context"
	"slices"
	"time"

	"shibafu.dev/step2-cas/bucket"
)

// over tells whether more is kept than may be.
func (q *queue) over() bool {
	l := q.n.opts.Limits
	return len(q.kept) > l.Events || q.bytes > l.Bytes
}

// keepBounds drops what is too much until ctx ends, whatever the target does meanwhile.
func (q *queue) keepBounds(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.full:
		case <-tick.C:
		}
		q.drop(ctx, q.overdue, "they are too old")
		q.drop(ctx, q.over, "the queue is full")
		q.dropOldPulls()
	}
}

// overdue tells whether the oldest that is kept is too old.
func (q *queue) overdue() bool { return len(q.kept) > 0 && q.tooOld(q.kept[0]) }

func (q *queue) tooOld(i item) bool {
	at, _ := stampOf(i.place())
	return time.Since(at) > q.n.opts.Limits.Age
}

// drop drops the oldest as long as more says so.
func (q *queue) drop(ctx context.Context, more func() bool, why string) {
	var lost []item
	q.mu.Lock()
	for more() {
		lost = append(lost, q.kept[0])
		q.bytes -= q.kept[0].size
		q.kept = q.kept[1:]
	}
	q.mu.Unlock()
	q.dropped(lost, why)
	q.erase(ctx, lost)
}

func (q *queue) dropOldPulls() {
	q.mu.Lock()
	n := 0
	for n < len(q.pulls) && q.tooOld(q.pulls[n]) {
		n++
	}
	lost := q.pulls[:n:n]
	q.pulls = q.pulls[n:]
	q.mu.Unlock()
	q.dropped(lost, "they are too old")
}

// dropped counts what nobody will hear of.
func (q *queue) dropped(items []item, why string) {
	if len(items) == 0 {
		return
	}
	q.mu.Lock()
	q.status.Dropped += uint64(len(items))
	q.mu.Unlock()
	q.n.opts.Log.Warn("a webhook will not hear of some events", "target", q.name, "events", len(items), "why", why)
}

// erase deletes what is done with. What cannot be deleted now is deleted with the next;
// until then another start would deliver it again.
func (q *queue) erase(ctx context.Context, items []item) {
	q.mu.Lock()
	keys := q.erased
	q.erased = nil
	q.mu.Unlock()
	again := len(keys) > 0
	for _, i := range items {
		if i.body == nil {
			keys = append(keys, i.key)
		}
	}
	if len(keys) == 0 {
		return
	}
	if err := erase(context.WithoutCancel(ctx), q.n.opts.Bucket, keys); err != nil {
		if !again {
			q.n.opts.Log.Error("events that are done with cannot be deleted yet", "target", q.name, "events", len(keys), "cause", err)
		}
		q.mu.Lock()
		q.erased = append(q.erased, keys...)
		q.mu.Unlock()
	}
}

// eraseAtOnce is how many keys one Write deletes.
const eraseAtOnce = 256

func erase(ctx context.Context, b bucket.Bucket, keys []string) error {
	for chunk := range slices.Chunk(keys, eraseAtOnce) {
		var changes []bucket.Change
		for _, key := range chunk {
			changes = append(changes, bucket.Change{Key: key, Delete: true})
		}
		if err := b.Write(ctx, changes...); err != nil {
			return err
		}
	}
	return nil
}
