package repo

import (
	"context"
	"errors"
	"slices"

	"shibafu.dev/step2-cas/bucket"
)

// ErrUntold says that a deletion was made without what tells of it, as the disk has no
// room for that.
var ErrUntold = errors.New("repo: deleted without a word")

// Outbox keeps what others are to be told. What it writes down about a change goes into
// the same Write as the change: where a Write is atomic, a crash leaves both or neither;
// elsewhere it may leave word of a change that was not made, but never the reverse.
//
// The changes of one tag, and of one manifest or blob where it is deleted, are recorded
// one after the other.
type Outbox interface {
	// Record returns the changes that tell of e, each with a key of its own. settled is
	// called once after the Write: with nil if they were made, with ErrUntold if e was
	// made without them, and else with an error after which nobody knows. It may be nil.
	Record(ctx context.Context, e Event) (told []bucket.Change, settled func(error))
}

// record asks the outbox, if there is one and e is not zero. settled is never nil.
func (s *Store) record(ctx context.Context, e Event) (told []bucket.Change, settled func(error)) {
	if s.opts.Outbox != nil && e.Action != "" {
		told, settled = s.opts.Outbox.Record(ctx, e)
	}
	if settled == nil {
		settled = func(error) {}
	}
	return told, settled
}

// remove makes deletions, with notes of them and what the outbox has to say. A full disk
// keeps these from being written, not the deletions.
func (s *Store) remove(ctx context.Context, e Event, notes, deletions []bucket.Change) error {
	told, settled := s.record(ctx, e)
	err := s.bucket.Write(ctx, slices.Concat(notes, told, deletions)...)
	if errors.Is(err, bucket.ErrFull) && len(notes) > 0 {
		err = s.bucket.Write(ctx, slices.Concat(told, deletions)...)
	}
	if errors.Is(err, bucket.ErrFull) && len(told) > 0 {
		if err = s.bucket.Write(ctx, deletions...); err == nil {
			settled(ErrUntold)
			return nil
		}
	}
	settled(err)
	return err
}
