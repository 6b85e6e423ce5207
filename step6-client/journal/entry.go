package journal

import (
	"sync"
	"time"
)

// Delay is how long an upload must last before its entry is written: most are over by
// then, and to go on with one that is not saves no more than what was sent so far,
// while the syncs of an entry wait for all that the disk has to do.
const Delay = time.Second

// Entry is that of one upload that is under way. Its methods may be called at once from
// many goroutines.
type Entry struct {
	journal *Journal
	key     Key

	mu    sync.Mutex
	last  Upload
	timer *time.Timer // runs until last is to be written
	due   bool        // it has run out: what comes is written at once
	over  bool
	err   error // of a write that nobody waited for
}

// Entry is the entry of an upload that begins.
func (j *Journal) Entry(k Key) *Entry { return &Entry{journal: j, key: k} }

// Keep notes how far the upload is; u's Key is the entry's. It is on the disk once the
// upload has lasted for Delay, and survives a loss of power then.
func (e *Entry) Keep(u Upload) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	u.Key = e.key
	e.last, e.over = u, false
	if e.due || e.err != nil {
		return e.write()
	}
	if e.timer == nil && e.journal != nil {
		e.timer = time.AfterFunc(Delay, e.runOut)
	}
	return nil
}

func (e *Entry) runOut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.due = true; !e.over {
		e.err = e.write()
	}
}

// write writes the last state. The lock is held.
func (e *Entry) write() error {
	err := e.err
	if err == nil {
		err = e.journal.Keep(e.last)
	}
	e.err = nil
	return err
}

// Flush writes at once what Keep has put off, for somebody who goes while the upload
// does not.
func (e *Entry) Flush() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.timer == nil || e.over || e.due || !e.timer.Stop() {
		return e.err
	}
	e.due = true
	return e.write()
}

// Forget ends the entry: the upload is over.
func (e *Entry) Forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
	if e.timer != nil && e.timer.Stop() {
		e.timer = nil
	}
	e.journal.Forget(e.key)
}
