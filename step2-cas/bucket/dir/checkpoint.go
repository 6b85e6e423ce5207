package dir

import (
	"errors"
	"os"
	"time"

	"shibafu.dev/step2-cas/bucket"
)

const (
	// journalSize is from how many bytes on a checkpoint is made, and journalMost from
	// how many on writers wait for it.
	journalSize = 16 << 20
	journalMost = 4 * journalSize
	// settleAfter is how long it takes at most until one is made.
	settleAfter = 5 * time.Second
)

// commit makes a record durable, and then has apply make it true; committed tells
// that it came so far. Where apply fails half-way the journal must not tell of the
// record later, so what was done of it is made durable as it is.
func (b *Bucket) commit(r record, apply func() error) (committed bool, err error) {
	committed, end, err := b.commitOnce(r, apply)
	if !committed && errors.Is(err, bucket.ErrFull) && b.makeRoom() {
		committed, end, err = b.commitOnce(r, apply)
	}
	if committed {
		b.schedule(end)
	}
	switch {
	case committed && err != nil:
		err = errors.Join(err, b.void())
	case end > journalMost:
		b.checkpoint()
	}
	return committed, err
}

func (b *Bucket) commitOnce(r record, apply func() error) (committed bool, end int64, err error) {
	b.changing.RLock()
	defer b.changing.RUnlock()
	if end, err = b.journal.Commit(r); err != nil {
		return false, end, classify(err)
	}
	return true, end, apply()
}

// schedule sees to it that a checkpoint is made, at once if the journal ends behind
// its size.
func (b *Bucket) schedule(end int64) {
	if !b.scheduled.Swap(true) {
		time.AfterFunc(settleAfter, b.settle)
	}
	if end > journalSize && !b.filled.Swap(true) {
		go func() {
			defer b.filled.Store(false)
			b.checkpoint()
		}()
	}
}

// settle makes checkpoints until the journal is empty.
func (b *Bucket) settle() {
	if b.checkpoint() == nil && !b.rest() {
		time.AfterFunc(settleAfter, b.settle)
	}
}

// rest gives back the room that the journal takes, if that is empty, and tells
// whether it did.
func (b *Bucket) rest() bool {
	b.changing.Lock()
	defer b.changing.Unlock()
	if !b.journal.Empty() {
		return false
	}
	b.scheduled.Store(false)
	return b.journal.Trim() == nil
}

// checkpoint makes durable, where it belongs, all that the journal tells of by now.
// If the disk refuses the journal is kept for the next process, and nothing more is
// written.
func (b *Bucket) checkpoint() error {
	b.settling.Lock()
	defer b.settling.Unlock()
	return b.checkpointAlone()
}

// checkpointAlone is checkpoint for who holds settling.
func (b *Bucket) checkpointAlone() error {
	if b.closed {
		return os.ErrClosed
	}
	b.changing.Lock()
	old, ok := b.journal.SwitchOver()
	b.changing.Unlock()
	if !ok {
		return nil
	}
	err := b.disk.all()
	b.changing.Lock()
	defer b.changing.Unlock()
	if err != nil {
		// Bytes were lost, perhaps another program's. All that may have been ours is
		// written again.
		var payloads [][]byte
		if payloads, err = b.journal.Payloads(); err == nil {
			err = b.play(payloads, true)
		}
		if err == nil {
			err = b.disk.all()
		}
	}
	if err != nil {
		return b.journal.Fail(err)
	}
	b.journal.Release(old)
	return nil
}

// void makes everything durable as it is, and empties the journal for good: it tells
// of something that was not done.
func (b *Bucket) void() error {
	b.changing.Lock()
	defer b.changing.Unlock()
	if err := b.disk.all(); err != nil {
		return b.journal.Fail(err)
	}
	return b.journal.Trim()
}

// makeRoom gives back the room that the journal takes, and tells whether that was
// any.
func (b *Bucket) makeRoom() bool {
	return b.journal.Spare() > 0 && b.checkpoint() == nil && b.rest()
}
