package notify

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step5-manifest/repo"
)

// wanting are the queues of those who are to hear of something.
func (n *Notifier) wanting(action Action, name ref.Name, mediaType string) (queues []*queue) {
	for _, q := range n.all() {
		if q.target.Load().wants(action, name, mediaType) {
			queues = append(queues, q)
		}
	}
	return queues
}

// placed is an event on its way into a queue.
type placed struct {
	queue *queue
	item  item
}

// Record implements repo.Outbox.
func (n *Notifier) Record(ctx context.Context, e repo.Event) ([]bucket.Change, func(error)) {
	all := drafts(e, "")
	if len(all) == 0 {
		return nil, nil
	}
	queues := n.wanting(all[0].action, e.Name, all[0].object.MediaType)
	if len(queues) == 0 {
		return nil, nil
	}
	cause := n.opts.Cause(ctx)
	var changes []bucket.Change
	var put []placed
	for _, d := range drafts(e, cause.BaseURL) {
		event, at := n.event(d, cause)
		for _, q := range queues {
			c := bucket.Change{Key: q.folder + at, Data: event.encode(q.target.Load().references)}
			changes = append(changes, c)
			put = append(put, placed{q, item{key: c.Key, size: int64(len(c.Data))}})
		}
	}
	return changes, func(err error) { settle(put, err) }
}

// event makes an event of a draft, and says where in a queue it stands.
func (n *Notifier) event(d draft, cause Cause) (e Event, at string) {
	now, at := n.clock.next()
	cause.Request.UserAgent = cut(cause.Request.UserAgent, maxAgent)
	return Event{
		ID: rand.Text(), Timestamp: now, Action: d.action, Target: d.object,
		Request: cause.Request, Actor: Actor{cause.Actor}, Source: n.opts.Source,
	}, at
}

func cut(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// settle puts events into the queues in memory, once they were written or may have been.
func settle(put []placed, err error) {
	for _, p := range put {
		p.queue.settle(p.item, err)
	}
}

// WantsPulls tells whether anybody is to hear of pulls from the repository.
func (n *Notifier) WantsPulls(name ref.Name) bool {
	for _, q := range n.all() {
		if t := q.target.Load(); t.actions[Pull] && t.names.Has(name) {
			return true
		}
	}
	return false
}

// Pulled is what was pulled.
type Pulled struct {
	Name   ref.Name
	Digest digest.Digest
	// Tag is what was asked for; it is zero for a digest.
	Tag ref.Tag
	// MediaType is that of a manifest, "" for a blob.
	MediaType string
	// Size is in bytes.
	Size int64
}

// Pull tells that something was pulled. It waits for nothing.
func (n *Notifier) Pull(ctx context.Context, p Pulled) {
	queues := n.wanting(Pull, p.Name, cmp.Or(p.MediaType, BlobType))
	if len(queues) == 0 {
		return
	}
	cause := n.opts.Cause(ctx)
	path := endpoint.Path{Pattern: endpoint.PullBlob.Pattern, Name: p.Name, Digest: p.Digest}
	if p.MediaType != "" {
		path = endpoint.Path{Pattern: endpoint.PullManifest.Pattern, Name: p.Name, Reference: ref.ByDigest(p.Digest)}
	}
	event, at := n.event(draft{Pull, Object{
		MediaType: cmp.Or(p.MediaType, BlobType), Size: p.Size, Length: p.Size, Digest: p.Digest,
		Repository: p.Name.String(), Tag: p.Tag.String(), URL: urlOf(cause.BaseURL, path),
	}}, cause)
	body := event.encode(false)
	for _, q := range queues {
		q.addPull(item{key: q.folder + at, size: int64(len(body)), body: body})
	}
}

// clock gives out where events stand in a queue: by time, and never before one that was
// given out already.
type clock struct {
	mu   sync.Mutex
	last time.Time
	seq  int
}

// stampForm orders stamps as texts as they are ordered in time.
const stampForm = "20060102T150405.000000000Z"

func (c *clock) next() (time.Time, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now().UTC(); now.After(c.last) {
		c.last, c.seq = now, 0
	} else {
		c.seq++
	}
	return c.last, fmt.Sprintf("%s-%06d", c.last.Format(stampForm), c.seq)
}

// notBefore keeps the clock from giving out what may have been before.
func (c *clock) notBefore(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t = t.Add(1); t.After(c.last) {
		c.last, c.seq = t, 0
	}
}

// stampOf is the time of a place in a queue; ok is false for what is none.
func stampOf(at string) (t time.Time, ok bool) {
	text, seq, found := strings.Cut(at, "-")
	t, err := time.Parse(stampForm, text)
	return t, found && err == nil && len(seq) >= 6 && strings.Trim(seq, "0123456789") == ""
}
