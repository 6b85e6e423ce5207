package notify

import (
	"time"

	"shibafu.dev/step7-security/observe/metrics"
)

// Status is how a target stands.
type Status struct {
	Target string `json:"target"`
	// Host is where it is; the rest of its URL is not shown.
	Host string `json:"host"`
	// Queued is how many events wait, those under way included, Pulls how many of them are
	// kept in memory alone, and Bytes how many bytes the others take in the store.
	Queued int   `json:"queued"`
	Pulls  int   `json:"pulls"`
	Bytes  int64 `json:"bytes"`
	// Oldest is when what has waited longest happened; zero if nothing waits.
	Oldest time.Time `json:"oldest,omitzero"`
	// Delivered and Dropped are events, and Failed is attempts, since the start.
	Delivered uint64 `json:"delivered"`
	Dropped   uint64 `json:"dropped"`
	Failed    uint64 `json:"failed"`
	// Failing says that the last attempt failed, for Cause.
	Failing bool   `json:"failing"`
	Cause   string `json:"cause,omitempty"`
}

// Status is that of all targets, by name.
func (n *Notifier) Status() (all []Status) {
	for _, q := range n.all() {
		all = append(all, q.Status())
	}
	return all
}

// Status is that of the queue's target.
func (q *queue) Status() Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.status
	s.Target, s.Host = q.name, q.target.Load().host
	s.Queued, s.Pulls, s.Bytes = q.lengthLocked(), len(q.pulls), q.bytes
	for _, items := range [][]item{q.kept, q.pulls} {
		if len(items) == 0 {
			continue
		}
		if at, _ := stampOf(items[0].place()); s.Oldest.IsZero() || at.Before(s.Oldest) {
			s.Oldest = at
		}
	}
	return s
}

func (q *queue) lengthLocked() int { return len(q.kept) + len(q.pulls) + q.away }

// figures are those of all targets.
type figures struct {
	queued, bytes, failing     *metrics.Gauge
	delivered, dropped, failed *metrics.Counter
}

// newFigures declares them; m may be nil.
func newFigures(m *metrics.Registry) *figures {
	if m == nil {
		m = &metrics.Registry{}
	}
	return &figures{
		queued:    m.Gauge("shibafu_webhook_queue_events", "Events that wait for a webhook to take them.", "target"),
		bytes:     m.Gauge("shibafu_webhook_queue_bytes", "Bytes that the events take in the store.", "target"),
		failing:   m.Gauge("shibafu_webhook_failing", "1 where the last delivery to a webhook failed.", "target"),
		delivered: m.Counter("shibafu_webhook_delivered_total", "Events that a webhook has taken.", "target"),
		dropped:   m.Counter("shibafu_webhook_dropped_total", "Events that a webhook will not hear of.", "target"),
		failed:    m.Counter("shibafu_webhook_failures_total", "Deliveries that failed, and are tried again.", "target"),
	}
}

func (q *queue) show() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.showLocked()
}

// showLocked shows how the queue stands. q.mu is held.
func (q *queue) showLocked() {
	f := q.n.figures
	f.queued.Set(int64(q.lengthLocked()), q.name)
	f.bytes.Set(q.bytes, q.name)
	failing := int64(0)
	if q.status.Failing && !q.closed {
		failing = 1
	}
	f.failing.Set(failing, q.name)
}
