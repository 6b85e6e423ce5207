package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
)

// thing is something that a registry is asked to keep: a blob or a manifest of a
// repository, named by its digest, or a tag.
type thing struct{ kind, repo, name string }

func (t thing) String() string { return t.repo + ": " + t.kind + " " + t.name }

// The states of a blob or manifest; that of a tag is absent, or a digest.
const (
	absent  = "absent"
	present = "present"
)

// change is a thing and the state that it is to have.
type change struct {
	thing
	value string
}

// unanswered is the end of a write that nobody has heard of.
const unanswered = math.MaxInt

// write is one request for a change, and what became of it. Times are numbers
// that only grow.
type write struct {
	thing
	value      string
	by         string
	start, end int
	acked      bool
}

// history is all that was asked of a thing since its state was last known for
// sure.
type history struct {
	writes []*write
	// cut says that the state is one that a crash decided on: a request was under
	// way, and none has been acknowledged since.
	cut bool
}

// model is what the clients know of a registry.
type model struct {
	mu        sync.Mutex
	now       int
	histories map[thing]*history
	sessions  []*session
	acks      int
}

func newModel() *model { return &model{histories: map[thing]*history{}} }

func (m *model) of(t thing) *history {
	h, ok := m.histories[t]
	if !ok {
		h = &history{writes: []*write{{thing: t, value: absent, by: "nobody", acked: true}}}
		m.histories[t] = h
	}
	return h
}

// mark is the time.
func (m *model) mark() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now++
	return m.now
}

// begin notes that changes are about to be asked for, by a request of that
// description.
func (m *model) begin(by string, changes ...change) []*write {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now++
	var ws []*write
	for _, c := range changes {
		w := &write{thing: c.thing, value: c.value, by: by, start: m.now, end: unanswered}
		h := m.of(c.thing)
		h.writes = append(h.writes, w)
		ws = append(ws, w)
	}
	return ws
}

// ack notes that they were made.
func (m *model) ack(ws []*write) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now++
	m.acks++
	for _, w := range ws {
		w.end, w.acked = m.now, true
		m.of(w.thing).cut = false
	}
}

// failed notes that they were not acknowledged: nobody knows whether they were
// made, but they will not be any more.
func (m *model) failed(ws []*write) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now++
	for _, w := range ws {
		w.end = m.now
		m.of(w.thing).cut = true
	}
}

// refused notes that they were not made.
func (m *model) refused(ws []*write) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range ws {
		h := m.of(w.thing)
		h.writes = slices.DeleteFunc(h.writes, func(other *write) bool { return other == w })
	}
}

// possible are the states that the thing can be in for somebody who asked at that
// time: whatever was asked for, unless something else was acknowledged that was
// asked for only after that was over.
func (m *model) possible(t thing, mark int) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := 0
	for _, w := range m.of(t).writes {
		if w.acked && w.end <= mark {
			last = max(last, w.start)
		}
	}
	var values []string
	for _, w := range m.of(t).writes {
		if w.end >= last && !slices.Contains(values, w.value) {
			values = append(values, w.value)
		}
	}
	return values
}

// saw returns what is wrong with value as an answer to one who asked at that
// time, "" if nothing is.
func (m *model) saw(t thing, value string, mark int) string {
	want := m.possible(t, mark)
	if slices.Contains(want, value) {
		return ""
	}
	return fmt.Sprintf("%v is %s, want %s; %s", t, value, strings.Join(want, " or "), m.story(t))
}

// rely notes an answer, to one who asked at that time, on which clients build:
// it is as good as an acknowledgement of their own. first says that it came before
// any other.
func (m *model) rely(t thing, value, by string, mark int) (first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now++
	m.acks++
	h := m.of(t)
	first = !slices.ContainsFunc(h.writes, func(w *write) bool { return w.acked && w.value == value })
	h.writes = append(h.writes, &write{t, value, by, mark, m.now, true})
	return first
}

// value is the state that was acknowledged last. It is for those who alone write
// to the thing.
func (m *model) value(t thing) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var last *write
	for _, w := range m.of(t).writes {
		if w.acked && (last == nil || w.start >= last.start) {
			last = w
		}
	}
	return last.value
}

// decide notes the state that was found after a crash. From now on it is the one.
func (m *model) decide(t thing, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.of(t)
	h.cut = h.cut || slices.ContainsFunc(h.writes, func(w *write) bool { return !w.acked })
	m.now++
	h.writes = []*write{{t, value, "the state after a crash", m.now, m.now, true}}
}

// wasCut tells whether a crash decided on the state of the thing.
func (m *model) wasCut(t thing) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, ok := m.histories[t]
	return ok && h.cut
}

// story tells what was last asked of the thing.
func (m *model) story(t thing) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	const most = 8
	writes := m.of(t).writes
	var told []string
	for _, w := range writes[max(0, len(writes)-most):] {
		outcome := "never answered"
		switch {
		case w.acked:
			outcome = fmt.Sprintf("acknowledged at %d", w.end)
		case w.end != unanswered:
			outcome = fmt.Sprintf("failed at %d", w.end)
		}
		told = append(told, fmt.Sprintf("at %d %s (%s), %s", w.start, w.by, w.value, outcome))
	}
	return "history: " + strings.Join(told, "; ")
}

// things returns all things of that kind, in an order of their own.
func (m *model) things(kind string) []thing {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []thing
	for t := range m.histories {
		if t.kind == kind {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b thing) int { return strings.Compare(a.String(), b.String()) })
	return all
}
