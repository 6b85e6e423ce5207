package progress

import (
	"slices"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step6-client/report"
	"shibafu.dev/step6-client/transfer"
)

// item is a blob or manifest that is copied.
type item struct {
	digest     digest.Digest
	size, done int64
	outcome    string // "" while it is under way
	copied     bool   // rather than left alone
	speed      speed
}

// state is what is known of a copy.
type state struct {
	items []*item // in the order in which they came up
	by    map[digest.Digest]*item
	note  string // what is waited for
}

func newState() *state { return &state{by: map[digest.Digest]*item{}} }

// event takes one in.
func (s *state) event(e transfer.Event) {
	s.note = ""
	i := s.by[e.Descriptor.Digest]
	if i == nil {
		i = &item{digest: e.Descriptor.Digest, size: e.Descriptor.Size}
		s.by[i.digest], s.items = i, append(s.items, i)
	}
	switch e.Kind {
	case transfer.Moved:
		i.done = e.Done
	case transfer.Copied:
		i.done, i.copied, i.outcome = i.size, true, "done"
	case transfer.Present:
		i.outcome = report.Outcome(e.Kind)
	case transfer.Left:
		i.outcome = "left out"
	}
}

// bytes takes in how much came. What was never begun is there already.
func (s *state) bytes(d digest.Digest, done int64) {
	if i := s.by[d]; i != nil && i.outcome == "" {
		i.done = done
	}
}

// measure takes the speeds.
func (s *state) measure(now time.Time) {
	for _, i := range s.items {
		if i.outcome == "" {
			i.speed.at(now, i.done)
		}
	}
}

// sum is the whole of it.
type sum struct {
	finished, all int
	done, size    int64   // of what is copied
	rate          float64 // bytes a second
}

func (s *state) sum() (t sum) {
	for _, i := range s.items {
		t.all++
		if i.outcome != "" {
			t.finished++
		} else {
			t.rate += i.speed.rate
		}
		if i.outcome == "" || i.copied {
			t.done += min(i.done, i.size)
			t.size += i.size
		}
	}
	return t
}

// isFinished tells whether nothing is under way.
func (s *state) isFinished() bool {
	return !slices.ContainsFunc(s.items, func(i *item) bool { return i.outcome == "" })
}

// speed is how fast bytes come, smoothed.
type speed struct {
	rate float64 // bytes a second
	last time.Time
	done int64
}

// at takes in how many there are now. The first time it only begins: what is there then
// may have come in another process.
func (s *speed) at(now time.Time, done int64) {
	const window = 2.0 // seconds
	switch elapsed := now.Sub(s.last).Seconds(); {
	case s.done == 0 || done < s.done: // it is read again
	case elapsed <= 0:
		return
	default:
		weight := min(1, elapsed/window)
		if s.rate == 0 {
			weight = 1
		}
		s.rate += weight * (float64(done-s.done)/elapsed - s.rate)
	}
	s.last, s.done = now, done
}

// left is how long the rest takes; ok is false where nobody can say.
func left(rest int64, rate float64) (d time.Duration, ok bool) {
	const longest = 100 * 3600
	seconds := float64(rest) / rate
	if rest <= 0 || rate <= 0 || seconds > longest {
		return 0, false
	}
	return time.Duration(seconds+0.5) * time.Second, true
}
