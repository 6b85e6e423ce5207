package repo_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step5-manifest/repo"
)

// outbox writes each event under a key of its own, and keeps what came of it.
type outbox struct {
	events  []repo.Event
	settled []error
}

const outboxPrefix = "outbox/"

func (o *outbox) Record(_ context.Context, e repo.Event) ([]bucket.Change, func(error)) {
	o.events = append(o.events, e)
	key := outboxPrefix + strings.Repeat("x", len(o.events))
	return []bucket.Change{{Key: key, Data: []byte(encode(e))}}, func(err error) { o.settled = append(o.settled, err) }
}

// told is what the outbox has in the bucket.
func (w *world) told() (texts []string) {
	for key, text := range dump(w.T, w.Bucket) {
		if strings.HasPrefix(key, outboxPrefix) {
			texts = append(texts, text)
		}
	}
	return texts
}

func isTold(c bucket.Change) bool { return strings.HasPrefix(c.Key, outboxPrefix) }

// What tells of a change is in the last Write that makes it, and nowhere else.
func TestOutbox(t *testing.T) {
	for _, tt := range actions {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(w *world) {
				tt.setUp(w)
				o := &outbox{}
				w.opts.Outbox = o
				w.restart()
				var writes []int // how many of a Write's changes tell
				w.disturb(func(changes []bucket.Change) error {
					n := 0
					for _, c := range changes {
						if isTold(c) {
							n++
						}
					}
					if n == len(changes) {
						w.Error("told of nothing")
					}
					writes = append(writes, n)
					return nil
				})
				w.wantError("doing it", tt.do(w), nil)
				if len(o.events) != 1 || encode(o.events[0]) != encode(tt.want) {
					w.Errorf("told %s; want %s", encode(o.events), encode(tt.want))
				}
				for i, n := range writes {
					if want := i == len(writes)-1; (n == 1) != want {
						w.Errorf("of %d writes, number %d tells %d times", len(writes), i+1, n)
					}
				}
				if len(o.settled) != 1 || o.settled[0] != nil {
					w.Errorf("settled %v", o.settled)
				}
				if texts := w.told(); len(texts) != 1 || texts[0] != encode(tt.want) {
					w.Errorf("in the bucket: %s", texts)
				}
			})
		})
	}
}

// A Write that fails leaves no word, and the outbox hears of it. What is refused before
// never comes to it.
func TestOutboxOfFailures(t *testing.T) {
	for _, tt := range actions {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, mem.New(), repo.Options{})
			tt.setUp(w)
			o, refusal := &outbox{}, errors.New("over quota")
			w.opts.Outbox, w.opts.Observer = o, &observer{err: refusal}
			w.restart()
			w.wantError("refused", tt.do(w), refusal)
			if len(o.events) != 0 {
				t.Errorf("told of what was refused: %s", encode(o.events))
			}
			w.opts.Observer = nil
			w.restart()
			fault := errors.New("input/output error")
			w.disturb(func(changes []bucket.Change) error {
				for _, c := range changes {
					if isTold(c) {
						return fault
					}
				}
				return nil
			})
			w.wantError("failing", tt.do(w), fault)
			if len(o.settled) != 1 || !errors.Is(o.settled[0], fault) || len(w.told()) != 0 {
				t.Errorf("settled %v, told %s", o.settled, w.told())
			}
		})
	}
}

// Where there is no room for what tells of it, a deletion is made all the same, a push
// is not.
func TestOutboxOnAFullDisk(t *testing.T) {
	for _, tt := range actions {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, mem.New(), repo.Options{})
			tt.setUp(w)
			o := &outbox{}
			w.opts.Outbox = o
			w.restart()
			w.disturb(func(changes []bucket.Change) error {
				for _, c := range changes {
					if !c.Delete {
						return bucket.ErrFull
					}
				}
				return nil
			})
			want, settled := error(nil), repo.ErrUntold
			if !strings.HasPrefix(tt.name, "delete") {
				want, settled = bucket.ErrFull, bucket.ErrFull
			}
			w.wantError("on a full disk", tt.do(w), want)
			if len(o.settled) != 1 || !errors.Is(o.settled[0], settled) || len(w.told()) != 0 {
				t.Errorf("settled %v, told %s", o.settled, w.told())
			}
		})
	}
}
