package repo

import (
	"container/list"
	"sync"
)

// cache remembers what was used last, up to a number of bytes.
type cache[K comparable, V any] struct {
	mu    sync.Mutex
	limit int64
	used  int64
	byKey map[K]*list.Element
	order list.List // of *cacheEntry[K, V], the last used first
}

type cacheEntry[K comparable, V any] struct {
	key  K
	v    V
	cost int64
}

// entryCost is what an entry costs besides what it holds, in bytes.
const entryCost = 256

func newCache[K comparable, V any](limit int64) *cache[K, V] {
	return &cache[K, V]{limit: limit, byKey: map[K]*list.Element{}}
}

func (c *cache[K, V]) get(key K) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return v, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cacheEntry[K, V]).v, true
}

// put remembers v, which takes about size bytes.
func (c *cache[K, V]) put(key K, v V, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(key)
	entry := &cacheEntry[K, V]{key, v, int64(size) + entryCost}
	if entry.cost > c.limit {
		return
	}
	c.byKey[key] = c.order.PushFront(entry)
	for c.used += entry.cost; c.used > c.limit; {
		c.drop(c.order.Back().Value.(*cacheEntry[K, V]).key)
	}
}

// getOrPut returns what is remembered, or remembers what made returns.
func (c *cache[K, V]) getOrPut(key K, made func() V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		c.order.MoveToFront(e)
		return e.Value.(*cacheEntry[K, V]).v
	}
	v := made()
	c.byKey[key] = c.order.PushFront(&cacheEntry[K, V]{key, v, entryCost})
	c.used += entryCost
	return v
}

// resize says that what key holds now takes about size bytes.
func (c *cache[K, V]) resize(key K, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return
	}
	entry := e.Value.(*cacheEntry[K, V])
	c.used += int64(size) + entryCost - entry.cost
	entry.cost = int64(size) + entryCost
	// The one that was just used stays, whatever its size: it is being used.
	for c.used > c.limit && c.order.Len() > 1 {
		c.drop(c.order.Back().Value.(*cacheEntry[K, V]).key)
	}
}

func (c *cache[K, V]) remove(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(key)
}

func (c *cache[K, V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.byKey)
	c.order.Init()
	c.used = 0
}

func (c *cache[K, V]) drop(key K) {
	if e, ok := c.byKey[key]; ok {
		c.used -= c.order.Remove(e).(*cacheEntry[K, V]).cost
		delete(c.byKey, key)
	}
}
