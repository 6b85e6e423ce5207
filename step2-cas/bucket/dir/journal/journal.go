// Package journal is a write-ahead log: what is committed to it survives the loss of
// power, at the cost of one sync that all who commit at that moment share, and mostly
// of bytes that are overwritten, which is the cheapest kind there is.
//
// It is two files, used in turn. When one of them has grown the owner switches over to
// the other, makes durable elsewhere all that the first tells of (a checkpoint), and
// releases it. format.go has what stands in the files, and how it is read.
package journal

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

const (
	// Reserve is how many bytes of room a journal keeps when it is empty, so that
	// something can be committed where there is no room left.
	Reserve = 64 << 10
	// growBy is how much longer a file is made at a time.
	growBy = 256 << 10
)

// Names are the paths of a journal's two files.
type Names [2]string

// Journal is open for committing. Commit may be called at once from many goroutines;
// the other methods only while there is none under way, unless they say otherwise.
type Journal struct {
	names   Names
	sync    func(*os.File) error
	turn    chan struct{} // has room for one: the one that writes
	mu      sync.Mutex
	waiting []*entry

	files  [2]file
	active int
	next   uint64 // the number of the next record
	buf    []byte // for records, used again
	failed error  // why nothing more can be committed
}

// file is one of the two. What lies behind end is zero, or of an earlier use.
type file struct {
	*os.File
	end, length int64
}

// entry is a record on its way.
type entry struct {
	payload []byte
	done    bool // whoever has the turn may look, or write
	err     error
}

// Open opens the files, made if need be, and returns the payloads of the records that
// they hold, in order. Before the first Commit the owner makes true what these say,
// and calls Trim. sync makes the bytes of a file durable; that the files are there, the
// owner sees to. ErrGap. The caller closes the journal.
func Open(names Names, sync func(*os.File) error) (*Journal, [][]byte, error) {
	payloads, next, err := read(names)
	if err != nil {
		return nil, nil, err
	}
	j := &Journal{names: names, sync: sync, turn: make(chan struct{}, 1), next: next}
	for i, name := range names {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		if err == nil {
			j.files[i].File = f
			j.files[i].length, err = f.Seek(0, 2)
		}
		if err != nil {
			j.closeFiles()
			return nil, nil, err
		}
	}
	return j, payloads, nil
}

// Payloads returns those of all records that were not released.
func (j *Journal) Payloads() ([][]byte, error) {
	payloads, _, err := read(j.names)
	return payloads, err
}

// Commit returns when a record of the payload is durable, and how long the file is
// then that it is in. Where sync fails nothing is taken any more: asked again the disk
// might say that all is well, having dropped what it was given.
func (j *Journal) Commit(payload []byte) (end int64, err error) {
	e := &entry{payload: payload}
	j.mu.Lock()
	j.waiting = append(j.waiting, e)
	j.mu.Unlock()

	// Whoever gets the turn writes for all who have come by then; most find, when it
	// is their turn, that theirs has been written.
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	if !e.done {
		j.mu.Lock()
		batch := j.waiting
		j.waiting = nil
		j.mu.Unlock()
		err := j.append(batch)
		for _, e := range batch {
			e.done, e.err = true, err
		}
	}
	return j.files[j.active].end, e.err
}

func (j *Journal) append(batch []*entry) error {
	if j.failed != nil {
		return j.failed
	}
	f := &j.files[j.active]
	raw := j.buf[:0]
	for i, e := range batch {
		raw = appendRecord(raw, j.next+uint64(i), e.payload)
	}
	if cap(raw) <= 1<<20 {
		j.buf = raw
	}
	if err := f.put(raw); err != nil {
		return err // the next batch overwrites what came of it
	}
	if err := j.sync(f.File); err != nil {
		return j.Fail(err)
	}
	f.end += int64(len(raw))
	j.next += uint64(len(batch))
	return nil
}

// put writes raw behind the last record, and zeros behind it if there is room.
func (f *file) put(raw []byte) error {
	end := f.end + int64(len(raw))
	if end > f.length {
		length := (end/growBy + 1) * growBy
		padded := append(raw, make([]byte, length-end)...)
		if _, err := f.WriteAt(padded, f.end); err == nil {
			f.length = length
			return nil
		}
	}
	if _, err := f.WriteAt(raw, f.end); err != nil {
		return err
	}
	f.length = max(f.length, end)
	return nil
}

// Fail ends the journal: what was committed may not be true, so every Commit fails with
// err from now on, and Close leaves the files to the next process.
func (j *Journal) Fail(err error) error {
	j.failed = fmt.Errorf("the disk does not keep what it is given, so nothing more is written: %w", err)
	return j.failed
}

// SwitchOver has later records go to the other file, which must have been released,
// and returns the one that was used till now. There is nothing to switch over from if
// not ok.
func (j *Journal) SwitchOver() (old int, ok bool) {
	old = j.active
	if j.files[old].end == 0 {
		return 0, false
	}
	j.active = 1 - old
	return old, true
}

// Release forgets the records of a file.
func (j *Journal) Release(file int) { j.files[file].end = 0 }

// Empty tells whether all records were released.
func (j *Journal) Empty() bool { return j.files[0].end == 0 && j.files[1].end == 0 }

// Spare is how many bytes of room Trim would give back. A Commit may be under way.
func (j *Journal) Spare() int64 {
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	return j.files[0].length + j.files[1].length - Reserve
}

// Trim wipes the files, all of whose records were released, and gives back the room
// that they take, but for the reserve. The wiping is durable: if some of what was
// released came back, it would not fit to what is committed next.
func (j *Journal) Trim() error {
	j.files[0].end, j.files[1].end = 0, 0
	if j.files[1-j.active].length > j.files[j.active].length {
		j.active = 1 - j.active // whatever room there is, it has
	}
	for i := range j.files {
		if err := j.wipe(&j.files[i], i == j.active); err != nil {
			return j.Fail(err)
		}
	}
	return nil
}

func (j *Journal) wipe(f *file, active bool) error {
	was := f.length
	f.length = 0
	if active {
		f.length = min(was, Reserve)
	}
	if was > 0 {
		_, err := f.WriteAt(make([]byte, f.length), 0)
		if err = errors.Join(err, f.Truncate(f.length), j.sync(f.File)); err != nil {
			return err
		}
	}
	if active && f.length < Reserve { // without the reserve it is as good, while there is room
		if _, err := f.WriteAt(make([]byte, Reserve), 0); err == nil {
			f.length = Reserve
		}
	}
	return nil
}

// Close closes the files, and removes them if they are of no more use.
func (j *Journal) Close() error {
	err := j.closeFiles()
	if j.failed != nil || !j.Empty() {
		return err
	}
	for _, name := range j.names {
		if removeErr := os.Remove(name); !errors.Is(removeErr, os.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}
	return err
}

func (j *Journal) closeFiles() (err error) {
	for _, f := range j.files {
		if f.File != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}
