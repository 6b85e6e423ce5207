package dir

import (
	"context"
	"sync"
)

// keyLocks lets the writers of a key take turns, from before conditions are checked
// until the change is made.
type keyLocks struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when the key is free
}

// lock returns when the caller has all keys, or when ctx ends.
func (l *keyLocks) lock(ctx context.Context, keys []string) error {
	mine := make(chan struct{})
	for {
		busy := l.take(keys, mine)
		if busy == nil {
			return nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take takes all keys, or returns what to wait for.
func (l *keyLocks) take(keys []string, mine chan struct{}) (busy chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		if c, ok := l.held[key]; ok {
			return c
		}
	}
	if l.held == nil {
		l.held = map[string]chan struct{}{}
	}
	for _, key := range keys {
		l.held[key] = mine
	}
	return nil
}

func (l *keyLocks) unlock(keys []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.held[keys[0]])
	for _, key := range keys {
		delete(l.held, key)
	}
}
