package ratelimit

import (
	"container/list"
	"hash/maphash"
	"time"
)

// source is somebody whose requests are counted together. The lock of its table
// guards it.
type source struct {
	key             string
	at              *list.Element // nil for one that is shared
	visits          int           // that are under way or wait
	requests, bytes bucket
	waiting         int             // for a token
	running         int             // of the requests that may run at once
	queue           []chan struct{} // those that wait to run; closed when it is their turn
	changed         chan struct{}   // closed when a token was given back
}

// idle tells whether the source is like one that nobody knows.
func (s *source) idle(now time.Time) bool {
	return s.visits == 0 && s.requests.isFull(now) && s.bytes.isFull(now)
}

// table has a bounded number of sources. Where it is full of such as are not idle, a
// new one shares a source with others that are new: whoever is in the table is not
// driven out by however many come.
type table struct {
	limits Limits
	most   int
	known  map[string]*source
	recent *list.List // the one that came last is in front
	shared [shares]source
	seed   maphash.Seed
}

// shares is how many sources stand for all that the table has no room for.
const shares = 256

// looked is how many of those that were not seen for longest are looked at to find an
// idle one.
const looked = 8

func newTable(l Limits, most int) *table {
	t := &table{limits: l, most: most, known: map[string]*source{}, recent: list.New(), seed: maphash.MakeSeed()}
	now := time.Now()
	for i := range t.shared {
		t.shared[i] = source{requests: newBucket(l.Requests, now), bytes: newBucket(l.Bytes, now)}
	}
	return t
}

// come returns the source of that key, for a visit. Each is to leave.
func (t *table) come(key string, now time.Time) *source {
	s := t.known[key]
	switch {
	case s != nil:
		t.recent.MoveToFront(s.at)
	case len(t.known) < t.most || t.drop(now):
		s = &source{key: key, requests: newBucket(t.limits.Requests, now), bytes: newBucket(t.limits.Bytes, now)}
		s.at = t.recent.PushFront(s)
		t.known[key] = s
	default:
		s = &t.shared[maphash.String(t.seed, key)%shares]
	}
	s.visits++
	return s
}

func (t *table) leave(s *source) { s.visits-- }

// drop makes room, if there is an idle source among the oldest.
func (t *table) drop(now time.Time) bool {
	for range looked {
		oldest := t.recent.Back()
		if oldest == nil {
			return false
		}
		s := oldest.Value.(*source)
		if s.idle(now) {
			t.recent.Remove(oldest)
			delete(t.known, s.key)
			return true
		}
		t.recent.MoveToFront(oldest)
	}
	return false
}
