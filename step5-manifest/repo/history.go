package repo

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
)

// HistoryEntry says what a tag was made to refer to.
type HistoryEntry struct {
	// ID orders the entries of a tag by time; it is the cursor of a page.
	ID string `json:"-"`
	// Digest is zero where the tag was deleted.
	Digest digest.Digest `json:"digest,omitzero"`
	Time   time.Time     `json:"time"`
	// By is who did it, "" if that was not known.
	By string `json:"by,omitempty"`
}

// History returns up to n entries of a tag's history, the oldest first, that come
// after the ID after, and whether there are more. The history outlives the tag.
func (s *Store) History(ctx context.Context, name ref.Name, tag ref.Tag, after string, n int) (entries []HistoryEntry, more bool, err error) {
	prefix := historyPrefix(name, tag)
	start := ""
	if after != "" {
		start = prefix + after
	}
	for info, err := range s.bucket.List(ctx, prefix, start, false) {
		if err != nil {
			return nil, false, err
		}
		if len(entries) == n {
			return entries, true, nil
		}
		raw, _, err := bucket.ReadAll(ctx, s.bucket, info.Key, 64<<10)
		if err != nil {
			return nil, false, err
		}
		e := HistoryEntry{ID: info.Key[len(prefix):]}
		if err := json.Unmarshal(raw, &e); err != nil {
			return nil, false, fmt.Errorf("repo: entry %s of a tag's history: %w", e.ID, err)
		}
		entries = append(entries, e)
	}
	return entries, false, nil
}

// historyEntry is the change that notes that the tag refers to d from now on.
func (s *Store) historyEntry(ctx context.Context, name ref.Name, tag ref.Tag, d digest.Digest) bucket.Change {
	now, seq := s.clock.next()
	e := HistoryEntry{Digest: d, Time: now}
	if s.opts.Caller != nil {
		e.By = s.opts.Caller(ctx)
	}
	raw, err := json.Marshal(e)
	if err != nil {
		panic(err) // none of the fields can fail
	}
	key := fmt.Sprintf("%s%s-%06d", historyPrefix(name, tag), now.Format("20060102T150405.000000000Z"), seq)
	return bucket.Change{Key: key, Data: raw}
}

// historyClock never goes backwards, and counts what happens at the same time.
type historyClock struct {
	mu   sync.Mutex
	last time.Time
	seq  int
}

func (c *historyClock) next() (time.Time, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now().UTC()
	if now.After(c.last) {
		c.last, c.seq = now, 0
	} else {
		c.seq++
	}
	return c.last, c.seq
}
