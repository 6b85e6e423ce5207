package notify

import "time"

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
	s.Queued, s.Pulls, s.Bytes = len(q.kept)+len(q.pulls)+q.away, len(q.pulls), q.bytes
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
