package auth

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"time"
)

// How long it is remembered of a source that its last password was right, or wrong.
const (
	trustLife = 24 * time.Hour
	doubtLife = time.Minute
)

// slots bound how many verify at once, and how many wait for that. A source whose last
// password was right comes before those of which nothing is known, and they before one
// whose last password was wrong; and one slot is for the first alone. So not even guesses
// from many addresses hold up those who log in every day.
type slots struct {
	most     int // waiting in a line, half of it of one source
	patience time.Duration
	trusted  memory[struct{}]
	doubted  memory[struct{}]

	mu      sync.Mutex
	running int
	lines   [3]line // of sources that are trusted, not known, and doubted
}

// line is where sources of the same standing wait, and take turns.
type line struct {
	most    int // running, of all lines, for one of this to begin
	waiting int
	queues  map[string][]chan struct{}
	turns   []string // the sources that have a queue; the first is next
}

func newSlots(concurrent, waiting int, patience time.Duration) *slots {
	s := &slots{most: waiting, patience: patience}
	for i := range s.lines {
		s.lines[i] = line{most: concurrent, queues: map[string][]chan struct{}{}}
	}
	s.lines[0].most++
	return s
}

// standing is the line that a source waits in.
func (s *slots) standing(source string) *line {
	key := sha256.Sum256([]byte(source))
	if _, is := s.doubted.get(key); is {
		return &s.lines[2]
	}
	if _, is := s.trusted.get(key); is {
		return &s.lines[0]
	}
	return &s.lines[1]
}

// acquire waits for a slot, for somebody of a source. Its errors are ErrBusy and that of
// ctx.
func (s *slots) acquire(ctx context.Context, source string) error {
	turn, err := s.enqueue(source)
	if turn == nil || err != nil {
		return err
	}
	timer := time.NewTimer(s.patience)
	defer timer.Stop()
	select {
	case <-turn:
		return nil
	case <-timer.C:
		err = ErrBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.leave(source, turn)
	return err
}

// enqueue takes a free slot (turn is nil), or a place in the source's queue.
func (s *slots) enqueue(source string) (turn chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.standing(source)
	if s.running < l.most {
		s.running++
		return nil, nil
	}
	if l.waiting >= s.most || len(l.queues[source]) >= (s.most+1)/2 {
		return nil, ErrBusy
	}
	turn = make(chan struct{})
	l.add(source, turn)
	return turn, nil
}

// leave gives up a place, or the slot if that has just come.
func (s *slots) leave(source string, turn chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.lines {
		if s.lines[i].remove(source, turn) {
			return
		}
	}
	s.next()
}

// release gives a slot back, and says whether the source's password was right.
func (s *slots) release(source string, right bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, key := s.standing(source), sha256.Sum256([]byte(source))
	if right {
		s.trusted.put(key, struct{}{}, trustLife)
		s.doubted.drop(key)
	} else {
		s.doubted.put(key, struct{}{}, doubtLife)
	}
	if now := s.standing(source); now != before { // and so do those that wait
		now.add(source, before.removeAll(source)...)
	}
	s.next()
}

// next gives a slot that is free again to the source whose turn it is.
func (s *slots) next() {
	s.running--
	for i := range s.lines {
		l := &s.lines[i]
		if s.running >= l.most {
			continue
		}
		if turn := l.next(); turn != nil {
			s.running++
			close(turn)
			return
		}
	}
}

// add puts some at the end of the source's queue.
func (l *line) add(source string, turns ...chan struct{}) {
	if len(turns) == 0 {
		return
	}
	if len(l.queues[source]) == 0 {
		l.turns = append(l.turns, source)
	}
	l.queues[source] = append(l.queues[source], turns...)
	l.waiting += len(turns)
}

// remove takes one out of the source's queue, if it is there.
func (l *line) remove(source string, turn chan struct{}) bool {
	i := slices.Index(l.queues[source], turn)
	if i < 0 {
		return false
	}
	if len(l.queues[source]) == 1 {
		l.removeAll(source)
		return true
	}
	l.queues[source] = slices.Delete(l.queues[source], i, i+1)
	l.waiting--
	return true
}

// removeAll takes the source's queue away.
func (l *line) removeAll(source string) []chan struct{} {
	queue := l.queues[source]
	if len(queue) > 0 {
		l.waiting -= len(queue)
		delete(l.queues, source)
		l.turns = slices.DeleteFunc(l.turns, func(t string) bool { return t == source })
	}
	return queue
}

// next takes out the one whose turn it is, nil if nobody waits.
func (l *line) next() chan struct{} {
	if len(l.turns) == 0 {
		return nil
	}
	source := l.turns[0]
	queue := l.removeAll(source)
	l.add(source, queue[1:]...)
	return queue[0]
}
