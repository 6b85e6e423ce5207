package progress

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step6-client/transfer"
)

// bars is Bars: a block of lines that is drawn over itself.
type bars struct {
	out  io.Writer
	size func() (columns, rows int)
	stop func()        // once
	done chan struct{} // closed when nothing more is drawn

	mu      sync.Mutex
	state   *state
	changed bool

	// What is on the screen, for the one that draws.
	drawn   int
	columns int
	when    time.Time
}

const (
	// frame is how often it is drawn.
	frame = 100 * time.Millisecond
	// pulse is how often it is drawn although nothing came: speeds sink then.
	pulse = time.Second
)

func newBars(out io.Writer, size func() (columns, rows int)) *bars {
	stopped := make(chan struct{})
	b := &bars{out: out, size: size, state: newState(), done: make(chan struct{})}
	b.stop = sync.OnceFunc(func() { close(stopped) })
	go b.run(stopped)
	return b
}

func (b *bars) run(stopped <-chan struct{}) {
	defer close(b.done)
	tick := time.NewTicker(frame)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.draw()
		case <-stopped:
			b.draw()
			return
		}
	}
}

// Event implements Shown.
func (b *bars) Event(e transfer.Event) {
	b.change(func(s *state) { s.event(e) })
}

// Bytes implements Shown.
func (b *bars) Bytes(d digest.Digest, done, _ int64) {
	b.change(func(s *state) { s.bytes(d, done) })
}

// Waiting implements Shown.
func (b *bars) Waiting(err error) {
	b.change(func(s *state) { s.note = "waiting: " + plainText(err.Error()) })
}

func (b *bars) change(how func(*state)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	how(b.state)
	b.changed = true
}

// Close implements Shown. What is on the screen stays there.
func (b *bars) Close() {
	b.stop()
	<-b.done
}

// draw draws, if there is anything new. Only run calls it.
func (b *bars) draw() {
	columns, rows := b.size()
	if columns <= 0 || rows <= 0 {
		columns, rows = 80, 24
	}
	b.mu.Lock()
	now := time.Now()
	if !b.changed && (now.Sub(b.when) < pulse || b.state.isFinished()) {
		b.mu.Unlock()
		return
	}
	b.state.measure(now)
	lines := b.state.lines(columns-1, rows-1) // a full last column, or row, moves all
	b.changed = false
	b.mu.Unlock()

	var out strings.Builder
	switch {
	case columns < b.columns: // old lines may have been broken, nobody knows how
		out.WriteString("\r\n")
	case b.drawn > 0:
		fmt.Fprintf(&out, "\r\x1b[%dA", min(b.drawn, rows-1))
	}
	for _, line := range lines {
		out.WriteString(line + "\x1b[K\r\n")
	}
	out.WriteString("\x1b[J")
	b.drawn, b.columns, b.when = len(lines), columns, now
	io.WriteString(b.out, out.String())
}

// lines is what to show in so many columns and rows. Where there is no room for all,
// those that are finished make room first, and then those that came last.
func (s *state) lines(columns, rows int) (lines []string) {
	if s.note != "" {
		return []string{fit(columns, s.note)}
	}
	room, total := max(0, rows-1), s.sum()
	hide := max(0, len(s.items)-room)
	spare := max(0, len(s.items)-total.finished-room) // of those under way
	finished := hide - spare
	for _, i := range s.items {
		switch {
		case i.outcome != "" && finished > 0:
			finished--
		case i.outcome == "" && len(lines) == room:
		default:
			lines = append(lines, i.line(columns))
		}
	}
	return append(lines, total.line(columns, len(s.items)-len(lines)))
}
