package store

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step6-client/layout"
)

// Pruned is what was removed, or would be.
type Pruned struct {
	Count int
	Bytes int64
}

// PruneDry returns what Prune would remove from the store in a folder now, and removes
// nothing.
func PruneDry(ctx context.Context, folder string) (Pruned, error) {
	files, err := dir.OpenReadOnly(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return Pruned{}, nil
	}
	if err != nil {
		return Pruned{}, err
	}
	defer files.Close()
	l, err := layout.Open(ctx, unchanged{files})
	if err != nil {
		return Pruned{}, err
	}
	p, err := l.Prune(ctx, time.Now())
	return Pruned{p.Blobs, p.Bytes}, err
}

// unchanged is a bucket that stays as it is.
type unchanged struct{ bucket.Bucket }

// Write does nothing.
func (unchanged) Write(context.Context, ...bucket.Change) error { return nil }

// Partial returns how many downloads there are that did not end, and that nobody went
// on with for so long: those that client.DropPartial removes.
func (s *Store) Partial(ctx context.Context, age time.Duration) (p Pruned, err error) {
	for id, err := range s.Blobs().Writers(ctx) {
		if err != nil {
			return p, err
		}
		w, err := s.Blobs().OpenWriter(ctx, id)
		if err != nil {
			continue // it is damaged, or being written to
		}
		touched, err := time.Parse(time.RFC3339, string(w.Note()))
		if err != nil || time.Since(touched) >= age {
			p.Count++
			p.Bytes += w.Size()
		}
		if err := w.Close(); err != nil {
			return p, err
		}
	}
	return p, nil
}
