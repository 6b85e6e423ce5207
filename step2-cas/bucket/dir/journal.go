package dir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"
)

// journal is where a change is made durable before it is made: a write-ahead log.
// One sync of it, which costs little as most of them overwrite, serves all requests
// that wait at the time; the folders and small files that they change are synced
// much later, by a checkpoint. After a crash the journal is played again.
//
// It is two files, used in turn: while a checkpoint makes durable what one of them
// tells of, changes go to the other. What is in one of them is never older than
// what is in the other in part.
type journal struct {
	disk    *disk
	names   [2]string // of the files
	turn    chan struct{}
	mu      sync.Mutex
	waiting []*entry

	// Guarded by turn, or by the bucket's lock on all changes.
	files  [2]journalFile
	active int
	next   uint64 // the number of the next record
	buf    []byte // for records, used again
	failed error  // why nothing more can be made durable
}

// journalFile is one of the two. What lies behind end is zero, or of an earlier
// use.
type journalFile struct {
	*os.File
	end, length int64
}

// entry is a record on its way into the journal.
type entry struct {
	payload []byte
	done    bool // whoever has the turn may look, or write
	err     error
}

const (
	// recordHeader is the size of what comes before the payload of a record: its
	// checksum, its length and its number, big-endian. The checksum is of the rest.
	recordHeader = 4 + 4 + 8
	// growBy is how much longer the journal is made at a time. Syncing what overwrites
	// is cheaper than what makes a file longer.
	growBy = 256 << 10
)

func newJournal(d *disk, names [2]string) *journal {
	return &journal{disk: d, names: names, turn: make(chan struct{}, 1), next: 1}
}

// commit returns when the record is durable, and how long the journal is then. Where
// the disk did not keep it, nothing is taken any more: asked again the disk might
// say that all is well, having dropped what it was given.
func (j *journal) commit(payload []byte) (end int64, err error) {
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

func (j *journal) append(batch []*entry) error {
	if j.failed != nil {
		return j.failed
	}
	f := &j.files[j.active]
	if err := j.open(f); err != nil {
		return err
	}
	raw := j.buf[:0]
	for i, e := range batch {
		raw = appendRecord(raw, j.next+uint64(i), e.payload)
	}
	if cap(raw) <= 1<<20 {
		j.buf = raw
	}
	if err := f.put(raw); err != nil {
		return classify(err) // the next batch overwrites what came of it
	}
	if err := j.disk.data(f.File); err != nil {
		return j.fail(err)
	}
	f.end += int64(len(raw))
	j.next += uint64(len(batch))
	return nil
}

// open opens the active file, if it is not.
func (j *journal) open(f *journalFile) (err error) {
	if f.File == nil {
		f.File, err = os.OpenFile(j.names[j.active], os.O_RDWR|os.O_CREATE, 0o644)
	}
	return classify(err)
}

// fail ends the journal. There must be no other commit under way.
func (j *journal) fail(err error) error {
	j.failed = fmt.Errorf("dir: the disk does not keep what it is given, so nothing more is written: %w", classify(err))
	return j.failed
}

// spare is how many bytes the files take that trim would give back. A commit under
// way may change it.
func (j *journal) spare() int64 {
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	return j.files[0].length + j.files[1].length - reserve
}

// put writes raw behind the last record, and zeros behind it if there is room.
func (f *journalFile) put(raw []byte) error {
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

// switchOver has later records go to the other file, and returns which one there is
// a checkpoint to be made for. There must be no commit under way.
func (j *journal) switchOver() (old int, ok bool) {
	old = j.active
	if j.files[old].end == 0 {
		return 0, false
	}
	j.active = 1 - old
	return old, true
}

// release forgets the records of a file, which were all made durable elsewhere.
func (j *journal) release(file int) { j.files[file].end = 0 }

// empty tells whether it holds nothing. There must be no commit under way.
func (j *journal) empty() bool { return j.files[0].end == 0 && j.files[1].end == 0 }

// trim gives back the room that an empty journal takes, but for the reserve. What was
// in there is wiped, and that is made durable: if some of it came back, it would not
// fit to what is written next. There must be no commit under way.
func (j *journal) trim() error {
	if j.files[1-j.active].length > j.files[j.active].length {
		j.active = 1 - j.active
	}
	for i := range j.files {
		if j.files[i].File == nil {
			continue
		}
		keep := int64(0)
		if i == j.active {
			keep = min(j.files[i].length, reserve)
		}
		if err := j.wipe(&j.files[i], keep); err != nil {
			return j.fail(err)
		}
	}
	return nil
}

func (j *journal) wipe(f *journalFile, keep int64) error {
	f.length = keep
	_, err := f.WriteAt(make([]byte, keep), 0)
	return errors.Join(err, f.Truncate(keep), j.disk.data(f.File))
}

// reserve is how many bytes of room are kept, so that deletions find some where
// there is none left.
const reserve = 64 << 10

// begin takes the reserve, if there is room for it.
func (j *journal) begin() {
	if f := &j.files[j.active]; j.open(f) == nil {
		if _, err := f.WriteAt(make([]byte, reserve), 0); err == nil {
			f.length = reserve
		}
	}
}

// close closes the files, and removes them if they hold nothing.
func (j *journal) close() error {
	var errs []error
	for i, f := range j.files {
		if f.File == nil {
			continue
		}
		errs = append(errs, f.Close())
		if j.failed == nil && f.end == 0 {
			if err := os.Remove(j.names[i]); !missing(err) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendRecord(raw []byte, number uint64, payload []byte) []byte {
	start := len(raw)
	raw = append(raw, 0, 0, 0, 0)
	raw = binary.BigEndian.AppendUint32(raw, uint32(len(payload)))
	raw = binary.BigEndian.AppendUint64(raw, number)
	raw = append(raw, payload...)
	binary.BigEndian.PutUint32(raw[start:], crc32.Checksum(raw[start+4:], castagnoli))
	return raw
}

// readRecords returns the payloads of the records that raw begins with, and the
// number of the first. What follows the last is what a crash cut, or of an earlier
// use.
func readRecords(raw []byte) (first uint64, payloads [][]byte) {
	for len(raw) >= recordHeader {
		length := int64(binary.BigEndian.Uint32(raw[4:]))
		number := binary.BigEndian.Uint64(raw[8:])
		if number == 0 || length > int64(len(raw)-recordHeader) {
			break
		}
		end := recordHeader + int(length)
		if crc32.Checksum(raw[4:end], castagnoli) != binary.BigEndian.Uint32(raw) {
			break
		}
		if len(payloads) == 0 {
			first = number
		}
		if number != first+uint64(len(payloads)) {
			break
		}
		payloads = append(payloads, raw[recordHeader:end:end])
		raw = raw[end:]
	}
	return first, payloads
}
