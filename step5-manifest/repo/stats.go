package repo

import "sync/atomic"

// lookups count how often manifests were asked for.
type lookups struct{ hits, misses atomic.Uint64 }

// Stats are what a Store counts.
type Stats struct {
	// Hits are the times that a manifest was asked for and remembered, Misses those that
	// it was not, which includes those that there are none.
	Hits, Misses uint64
	// Manifests and TagLists are what is remembered of each takes in memory, in bytes, of
	// the Options.CacheBytes that it may.
	Manifests, TagLists int64
}

// Stats are the counts since the Store was made.
func (s *Store) Stats() Stats {
	return Stats{
		Hits: s.asked.hits.Load(), Misses: s.asked.misses.Load(),
		Manifests: s.manifests.size(), TagLists: s.tagLists.size(),
	}
}

func (c *cache[K, V]) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}
