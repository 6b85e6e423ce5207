// Package journal is a write-ahead log: what is committed to it survives the loss of
// power, at the cost of one sync that all who commit at that moment share, and mostly
// of bytes that are overwritten, which is the cheapest kind there is.
//
// It is one file. When that has grown its owner makes durable elsewhere all that it
// tells of (a checkpoint), and resets it. format.go has what stands in the file, and
// how it is read.
package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

const (
	// Reserve is how many bytes of room a journal keeps when it is empty, so that
	// something can be committed where there is no room left.
	Reserve = 64 << 10
	// growBy is how much longer the file is made at a time.
	growBy = 256 << 10
)

// Journal is open for committing. Commit may be called at once from many goroutines;
// the other methods only while there is none under way, unless they say otherwise.
type Journal struct {
	file    *os.File
	sync    func(*os.File) error
	turn    chan struct{} // has room for one: the one that writes
	mu      sync.Mutex
	waiting []*entry

	// For whoever has the turn, or whose methods there is no Commit beside.
	length int64  // of the file
	end    int64  // of the last record; what lies behind it is of no meaning
	chain  uint32 // the checksum that the next record's begins with
	next   uint64 // the number of the next record
	buf    []byte // for records, used again

	failed atomic.Pointer[error] // why nothing more can be committed
}

// entry is a record on its way.
type entry struct {
	payload []byte
	done    bool // whoever has the turn may look, or write
	err     error
}

// Open opens the file, made if need be, and returns the payloads of the records that
// it holds, in order. Before the first Commit the owner makes true what they say,
// and calls Trim. sync makes the bytes of a file durable; that the file is there, the
// owner sees to. ErrDamaged. The caller closes the journal.
func Open(name string, sync func(*os.File) error) (*Journal, [][]byte, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, nil, err
	}
	raw, err := io.ReadAll(f)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	records, err := parse(raw)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	if len(raw) == 0 {
		withoutCopies(f)
	}
	j := &Journal{file: f, sync: sync, turn: make(chan struct{}, 1), length: int64(len(raw)),
		end: records.end, chain: records.chain, next: records.last + 1}
	return j, records.payloads, nil
}

// Read returns the payloads of a journal that may be in use, in order. A file that is
// not there holds nothing. ErrDamaged.
func Read(name string) ([][]byte, error) {
	raw, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	records, err := parse(raw)
	return records.payloads, err
}

// Payloads returns those of the records that were committed since the last Reset.
func (j *Journal) Payloads() ([][]byte, error) {
	raw := make([]byte, j.end)
	if _, err := j.file.ReadAt(raw, 0); err != nil {
		return nil, err
	}
	records, err := parse(raw)
	return records.payloads, err
}

// Commit returns when a record of the payload is durable, and how many bytes there
// are since the last Reset. After an error the record is not, and of the others of
// that moment those may be that there was room for. Where sync fails nothing is taken
// any more: asked again the disk might say that all is well, having dropped what it
// was given.
func (j *Journal) Commit(payload []byte) (size int64, err error) {
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
		j.commit(batch)
	}
	return j.end - recordsAt, e.err
}

func (j *Journal) commit(batch []*entry) {
	err := j.append(batch)
	for _, e := range batch {
		e.done, e.err = true, err
		if err != nil && len(batch) > 1 {
			e.err = j.append([]*entry{e}) // there may be room for this one
		}
	}
}

// append writes the records of a batch, and syncs them.
func (j *Journal) append(batch []*entry) error {
	if err := j.Failed(); err != nil {
		return err
	}
	if j.length < recordsAt {
		if err := j.begin(); err != nil {
			return err
		}
	}
	raw, chain := j.buf[:0], j.chain
	for _, e := range batch {
		raw, chain = appendRecord(raw, chain, j.next, e.payload)
		j.next++ // whatever comes of it: a number is never used twice
	}
	if cap(raw) <= 1<<20 {
		j.buf = raw
	}
	if err := j.put(raw); err != nil {
		return errors.Join(err, j.erase())
	}
	if err := j.sync(j.file); err != nil {
		return errors.Join(j.Fail(err), j.erase())
	}
	j.end, j.chain = j.end+int64(len(raw)), chain
	return nil
}

// put writes raw behind the last record, and zeros behind it if there is room.
func (j *Journal) put(raw []byte) error {
	end := j.end + int64(len(raw))
	if end > j.length {
		length := (end/growBy + 1) * growBy
		padded := append(raw, make([]byte, length-end)...)
		if _, err := j.file.WriteAt(padded, j.end); err == nil {
			j.length = length
			return nil
		}
	}
	if _, err := j.file.WriteAt(raw, j.end); err != nil {
		return err
	}
	j.length = max(j.length, end)
	return nil
}

// erase keeps what was written behind the last record, and refused, from being read.
func (j *Journal) erase() error {
	err := j.file.Truncate(max(j.length, j.end))
	if room := min(j.length-j.end, headerSize); room > 0 {
		_, zeroErr := j.file.WriteAt(make([]byte, room), j.end)
		err = errors.Join(err, zeroErr)
	}
	if err != nil {
		return j.Fail(err)
	}
	return nil
}

// Fail ends the journal: what it tells of may not be so, so every Commit fails with
// err from now on, and Close leaves the file to the next process.
func (j *Journal) Fail(err error) error {
	err = fmt.Errorf("the disk does not keep what it is given, so nothing more is written: %w", err)
	j.failed.Store(&err)
	return err
}

// Failed is why the journal has ended, nil if it has not. A Commit may be under way.
func (j *Journal) Failed() error {
	if err := j.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Empty tells whether there was no Commit since the last Reset.
func (j *Journal) Empty() bool { return j.end <= recordsAt }

// Reset forgets all records, of which everything must be durable elsewhere. The file
// stays as long as it is.
func (j *Journal) Reset() error {
	had := j.length
	if err := j.begin(); err != nil {
		// A file system that copies on writing may find no room to overwrite. The first
		// Commit begins then.
		j.length, j.end = 0, recordsAt
		if err := j.file.Truncate(0); err != nil {
			return j.Fail(err)
		}
	}
	if had < recordsAt {
		return nil // nothing is to be forgotten
	}
	if err := j.sync(j.file); err != nil {
		return j.Fail(err)
	}
	return nil
}

// begin writes the file's header, with which all that follows it in the file is void.
func (j *Journal) begin() error {
	header, chain := newHeader()
	if _, err := j.file.WriteAt(header, 0); err != nil {
		return err
	}
	j.length, j.end, j.chain = max(j.length, recordsAt), recordsAt, chain
	return nil
}

// Trim is Reset, and gives back the room that the file takes but for the reserve.
func (j *Journal) Trim() error {
	if err := j.Reset(); err != nil {
		return err
	}
	if j.length > Reserve {
		j.length = Reserve
		if err := j.file.Truncate(Reserve); err != nil {
			return j.Fail(err)
		}
	}
	if j.length >= recordsAt && j.length < Reserve { // without it all is well while there is room
		if _, err := j.file.WriteAt(make([]byte, Reserve-j.length), j.length); err == nil {
			j.length = Reserve
		}
	}
	return nil
}

// Spare is how many bytes of room Trim would give back. A Commit may be under way.
func (j *Journal) Spare() int64 {
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	return j.length - Reserve
}

// Close closes the file, and removes it if it is of no more use.
func (j *Journal) Close() error {
	err := j.file.Close()
	if j.Failed() == nil && j.Empty() {
		if removeErr := os.Remove(j.file.Name()); !errors.Is(removeErr, os.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}
	return err
}
