package dir

import (
	"cmp"
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
// record for long, so what was done of it is made durable as it is.
func (b *Bucket) commit(r record, apply func() error) (committed bool, err error) {
	trims := b.trims.Load()
	committed, size, err := b.commitOnce(r, apply)
	if !committed && errors.Is(err, bucket.ErrFull) && b.makeRoom(trims) {
		committed, size, err = b.commitOnce(r, apply)
	}
	if committed {
		b.schedule(size)
	}
	switch {
	case committed && err != nil:
		err = errors.Join(err, b.checkpointRefused())
	case size > journalMost:
		b.checkpoint(false)
	}
	return committed, err
}

func (b *Bucket) commitOnce(r record, apply func() error) (committed bool, size int64, err error) {
	b.changing.RLock()
	defer b.changing.RUnlock()
	if size, err = b.journal.Commit(r); err != nil {
		return false, size, classify(err)
	}
	return true, size, apply()
}

// schedule sees to it that a checkpoint is made, at once if the journal has its size.
func (b *Bucket) schedule(size int64) {
	if !b.scheduled.Swap(true) {
		time.AfterFunc(settleAfter, b.settle)
	}
	if size > journalSize && !b.filled.Swap(true) {
		go func() {
			defer b.filled.Store(false)
			b.checkpoint(false)
		}()
	}
}

// settle makes checkpoints until nothing was written since the last one; then the
// journal gives back its room.
func (b *Bucket) settle() {
	b.settling.Lock()
	defer b.settling.Unlock()
	if b.closed {
		return
	}
	if b.rest() {
		return
	}
	b.checkpointAlone(false, true)
	time.AfterFunc(settleAfter, b.settle)
}

// rest tells whether there is nothing more to be done.
func (b *Bucket) rest() bool {
	b.changing.Lock()
	defer b.changing.Unlock()
	if b.journal.Failed() != nil {
		return true
	}
	if !b.journal.Empty() {
		return false
	}
	b.trim()
	b.scheduled.Store(false)
	return true
}

// trim empties the journal, which tells of nothing that is not durable elsewhere, and
// gives back its room. changing is held.
func (b *Bucket) trim() error {
	b.told.Clear()
	b.trims.Add(1)
	return b.journal.Trim()
}

// checkpoint makes durable, where it belongs, all that the journal tells of, and
// empties it; with trim it also gives back its room. If the disk refuses the journal is
// kept for the next process, and nothing more is written.
func (b *Bucket) checkpoint(trim bool) error {
	b.settling.Lock()
	defer b.settling.Unlock()
	if b.closed {
		return os.ErrClosed
	}
	return b.checkpointAlone(trim, true)
}

// checkpointRefused is checkpoint after a record was made true only in part, and
// refused: it must not be played.
func (b *Bucket) checkpointRefused() error {
	b.settling.Lock()
	defer b.settling.Unlock()
	if b.closed {
		return os.ErrClosed
	}
	return b.checkpointAlone(false, false)
}

// checkpointAlone is checkpoint for who holds settling. Most of the work is done while
// others still write; they wait for the rest. Where the disk has lost something the
// journal is played, if it may be.
func (b *Bucket) checkpointAlone(trim, play bool) error {
	firstErr := b.syncAll()
	b.changing.Lock()
	defer b.changing.Unlock()
	if err := b.journal.Failed(); err != nil {
		return err
	}
	if !b.journal.Empty() {
		err := cmp.Or(b.syncAll(), firstErr)
		if err != nil && play {
			err = b.settleAgain()
		}
		if err != nil {
			return b.journal.Fail(err)
		}
	}
	if trim {
		return b.trim()
	}
	b.told.Clear()
	return b.journal.Reset()
}

// syncAll makes all durable, and counts when the disk says that it cannot.
func (b *Bucket) syncAll() error {
	err := b.disk.all()
	if err != nil {
		b.losses.Add(1)
	}
	return err
}

// settleAgain is for when the disk lost bytes, perhaps another program's. All that may
// have been ours is written again.
func (b *Bucket) settleAgain() error {
	payloads, err := b.journal.Payloads()
	if err != nil {
		return err
	}
	ops, err := b.lastWords(payloads)
	if err != nil {
		return err
	}
	if err := b.play(ops); err != nil {
		return err
	}
	return b.syncAll()
}

// makeRoom gives back the room that the journal takes, and tells whether that may have
// helped, or somebody else has done so since trims was read.
func (b *Bucket) makeRoom(trims int64) bool {
	b.changing.Lock()
	spare := b.journal.Spare() > 0 || !b.journal.Empty()
	b.changing.Unlock()
	if b.trims.Load() != trims {
		return true
	}
	return spare && b.checkpoint(true) == nil
}
