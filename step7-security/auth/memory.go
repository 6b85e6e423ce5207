package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxMemory is how much is remembered at once.
const maxMemory = 10_000

// memory remembers for a while what was expensive to find out.
type memory[V any] struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]remembered[V]
}

type remembered[V any] struct {
	value V
	until time.Time
}

func (m *memory[V]) get(key [sha256.Size]byte) (value V, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.all[key]
	if !ok || !time.Now().Before(r.until) {
		return value, false
	}
	return r.value, true
}

func (m *memory[V]) put(key [sha256.Size]byte, value V, life time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil || len(m.all) >= maxMemory {
		m.all = map[[sha256.Size]byte]remembered[V]{} // seldom, and costs each one attempt
	}
	m.all[key] = remembered[V]{value, time.Now().Add(life)}
}

func (m *memory[V]) drop(key [sha256.Size]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, key)
}
