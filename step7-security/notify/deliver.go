package notify

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Delivery is a body on its way to a target.
type Delivery struct {
	Target *Target
	Body   []byte
	// Signature is the value of SignatureHeader, "" where the target has no secret.
	Signature string
}

// Sender takes deliveries to their targets. Send returns nil once a target has taken one.
// What its errors say is logged: they hold nothing that a target answered, and no secret.
type Sender interface {
	Send(ctx context.Context, d Delivery) error
}

// SendError is a delivery that was answered, and not taken.
type SendError struct {
	// Reason is what was answered, in the sender's words.
	Reason string
	// Refused says that it is what was sent that the target cannot take.
	Refused bool
	// After is how long the target wants to be left alone, 0 if it did not say.
	After time.Duration
}

// Error is the reason.
func (e *SendError) Error() string { return e.Reason }

const (
	// maxBatch and maxBatchBytes bound a delivery.
	maxBatch      = 100
	maxBatchBytes = 1 << 20
	// firstPause and maxPause are how long a target is left alone after a failure; each
	// doubles the pause. maxAfter is how long it may ask for.
	firstPause = time.Second
	maxPause   = 5 * time.Minute
	maxAfter   = time.Hour
	// maxRefusals is how often an event is sent that its target refuses, all by itself.
	maxRefusals = 10
)

// line is how it stands between a queue and its target.
type line struct {
	failures int // in a row
	refusals int // in a row, of the event refused
	refused  string
	size     int // how many events the next delivery has at most
}

// deliver sends what is in the queue until ctx ends. After a failure the target is left
// alone for a while, and then gets one event, in case it was one of many that it could not
// take; the pauses are this queue's alone.
func (q *queue) deliver(ctx context.Context) {
	l := line{size: maxBatch}
	for ctx.Err() == nil {
		q.drop(ctx, q.overdue, "they are too old")
		batch := q.take(l.size)
		if len(batch) == 0 {
			select {
			case <-ctx.Done():
			case <-q.wake:
			}
			continue
		}
		target := q.target.Load()
		batch, err := q.send(ctx, target, batch)
		if ctx.Err() != nil && err != nil {
			q.putBack(batch)
			return
		}
		if err == nil {
			q.delivered(ctx, batch, &l)
			continue
		}
		if q.failed(ctx, batch, err, &l) {
			q.pause(ctx, target, l.pause(err))
		}
	}
}

// send sends a batch, and returns that without what turned out to be no event.
func (q *queue) send(ctx context.Context, t *Target, batch []item) (sent []item, err error) {
	events, sent, err := q.readAll(ctx, batch)
	if err != nil {
		return batch, err
	}
	if len(events) == 0 {
		return nil, nil
	}
	d := Delivery{Target: t, Body: envelope(events)}
	secrets, err := t.secrets()
	if err != nil {
		return sent, err
	}
	if len(secrets) > 0 {
		d.Signature = Sign(secrets, time.Now(), d.Body)
	}
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	return sent, q.n.opts.Sender.Send(ctx, d)
}

// readAll returns the events of a batch, and the items that they are of. After an error
// nothing has happened.
func (q *queue) readAll(ctx context.Context, batch []item) (events [][]byte, good []item, err error) {
	var bad []item
	for _, i := range batch {
		raw, err := q.read(ctx, i)
		switch {
		case errors.Is(err, errGone):
		case errors.Is(err, errBad):
			bad = append(bad, i)
		case err != nil:
			return nil, nil, err
		default:
			events, good = append(events, raw), append(good, i)
		}
	}
	if len(bad) > 0 {
		q.dropped(bad, "what is in the queue is damaged")
		q.erase(ctx, bad)
	}
	return events, good, nil
}

// delivered is done with a batch.
func (q *queue) delivered(ctx context.Context, batch []item, l *line) {
	if l.failures > 0 {
		q.n.opts.Log.Info("a webhook takes events again", "target", q.name, "failures", l.failures)
	}
	*l = line{size: min(2*l.size, maxBatch)}
	q.mu.Lock()
	q.away = 0
	q.status.Delivered += uint64(len(batch))
	q.status.Failing, q.status.Cause = false, ""
	q.mu.Unlock()
	q.erase(ctx, batch)
}

// failed puts a batch back; wait is false where it was given up instead.
func (q *queue) failed(ctx context.Context, batch []item, err error, l *line) (wait bool) {
	var answer *SendError
	if refused := errors.As(err, &answer) && answer.Refused; !refused || len(batch) > 1 {
		l.refusals = 0
	} else if l.refuse(batch[0].key) >= maxRefusals {
		*l = line{size: 1}
		q.mu.Lock()
		q.away = 0
		q.mu.Unlock()
		q.dropped(batch, "the target refuses it: "+err.Error())
		q.erase(ctx, batch)
		return false
	}
	q.putBack(batch)
	l.failures, l.size = l.failures+1, 1
	q.mu.Lock()
	q.status.Failed++
	q.status.Failing, q.status.Cause = true, err.Error()
	q.mu.Unlock()
	if l.failures&(l.failures-1) == 0 { // less and less often
		q.n.opts.Log.Warn("a webhook does not take events", "target", q.name, "failures", l.failures, "cause", err)
	}
	return true
}

// refuse notes that an event was refused, and returns how often it was by now.
func (l *line) refuse(key string) int {
	if key != l.refused {
		l.refused, l.refusals = key, 0
	}
	l.refusals++
	return l.refusals
}

// pause is how long to wait after the last failure: between half of the time and all of
// it, so that those who failed together do not come back together.
func (l *line) pause(err error) time.Duration {
	most := min(firstPause<<min(l.failures-1, 20), maxPause)
	wait := most/2 + rand.N(most/2)
	var answer *SendError
	if errors.As(err, &answer) {
		wait = max(wait, min(answer.After, maxAfter))
	}
	return wait
}

// pause waits, until the target is another at the latest.
func (q *queue) pause(ctx context.Context, t *Target, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for q.target.Load() == t {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-q.wake: // by something new, or another target
		}
	}
}
