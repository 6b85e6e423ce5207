package repo

import (
	"slices"
	"testing"
)

// held are the keys that c holds, the last used first, and what they cost.
func held(c *cache[string, int]) (keys []string, cost int64) {
	for e := c.order.Front(); e != nil; e = e.Next() {
		entry := e.Value.(*cacheEntry[string, int])
		keys = append(keys, entry.key)
		cost += entry.cost
	}
	return keys, cost
}

func TestCache(t *testing.T) {
	c := newCache[string, int](3 * (entryCost + 100))
	want := func(step string, keys ...string) {
		t.Helper()
		got, cost := held(c)
		if !slices.Equal(got, keys) || cost != c.used || cost > c.limit && len(got) > 1 || len(c.byKey) != len(got) {
			t.Errorf("%s: holds %v for %d (%d by its own count, %d keys); want %v", step, got, cost, c.used, len(c.byKey), keys)
		}
	}
	c.put("a", 1, 100)
	c.put("b", 2, 100)
	c.put("c", 3, 100)
	want("full", "c", "b", "a")
	if v, ok := c.get("a"); v != 1 || !ok {
		t.Errorf("get: %d, %v", v, ok)
	}
	want("used", "a", "c", "b")
	c.put("d", 4, 100)
	want("the one that was used longest ago goes", "d", "a", "c")
	if _, ok := c.get("b"); ok {
		t.Error("what went is still found")
	}
	c.put("a", 5, 0)
	if v, _ := c.get("a"); v != 5 {
		t.Errorf("replaced: %d", v)
	}
	want("replaced", "a", "d", "c")
	c.put("huge", 6, 10_000)
	want("what is larger than the cache does not empty it", "a", "d", "c")
	c.put("a", 7, 10_000)
	want("but what it would replace is gone", "d", "c")

	if v := c.getOrPut("d", func() int { t.Error("made again"); return 0 }); v != 4 {
		t.Errorf("getOrPut: %d", v)
	}
	if v := c.getOrPut("e", func() int { return 8 }); v != 8 {
		t.Errorf("getOrPut: %d", v)
	}
	c.resize("e", 300)
	want("grown: others make room", "e", "d")
	c.resize("e", 10_000)
	want("the one that grew stays", "e")
	c.resize("gone", 1)
	c.remove("gone")
	want("nothing happens to what is not there", "e")
	c.remove("e")
	want("removed")
	c.put("f", 9, 1)
	c.clear()
	want("cleared")
	c.put("g", 10, 1)
	want("in use again", "g")
}
