package auth

import (
	"context"
	"slices"
	"sync"
	"time"
)

// slots bound how many verify at once, and how many wait for that.
type slots struct {
	most     int // waiting, of all sources; half of it of one
	patience time.Duration

	mu      sync.Mutex
	free    int
	waiting int
	queues  map[string][]chan struct{}
	turns   []string // the sources that have a queue; the first is next
}

func newSlots(concurrent, waiting int, patience time.Duration) *slots {
	return &slots{most: waiting, patience: patience, free: concurrent, queues: map[string][]chan struct{}{}}
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
	if s.free > 0 {
		s.free--
		return nil, nil
	}
	queue := s.queues[source]
	if s.waiting >= s.most || len(queue) >= (s.most+1)/2 {
		return nil, ErrBusy
	}
	if len(queue) == 0 {
		s.turns = append(s.turns, source)
	}
	turn = make(chan struct{})
	s.queues[source] = append(queue, turn)
	s.waiting++
	return turn, nil
}

// leave gives up a place, or the slot if that has just come.
func (s *slots) leave(source string, turn chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue := s.queues[source]
	i := slices.Index(queue, turn)
	if i < 0 {
		s.next()
		return
	}
	s.waiting--
	if s.queues[source] = slices.Delete(queue, i, i+1); len(queue) == 1 {
		delete(s.queues, source)
		s.turns = slices.DeleteFunc(s.turns, func(t string) bool { return t == source })
	}
}

func (s *slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next()
}

// next gives a slot to the source whose turn it is.
func (s *slots) next() {
	if len(s.turns) == 0 {
		s.free++
		return
	}
	source := s.turns[0]
	s.turns = s.turns[1:]
	queue := s.queues[source]
	close(queue[0])
	s.waiting--
	if len(queue) == 1 {
		delete(s.queues, source)
		return
	}
	s.queues[source] = queue[1:]
	s.turns = append(s.turns, source)
}
