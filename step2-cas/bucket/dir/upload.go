package dir

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"strings"
	"sync"
	"syscall"

	"shibafu.dev/step2-cas/bucket"
)

const (
	// bufferSize is how much is taken from the network at a time.
	bufferSize = 256 << 10
	// writeBackEvery is after how many bytes the kernel is asked to start writing
	// them to the disk, so that the sync at the end has little left to do.
	writeBackEvery = 8 << 20
)

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// upload is the folder uploads/<id>: "data" grows, "state" says up to where data
// was saved, and with what.
type upload struct {
	bucket *Bucket
	id     string
	size   int64
	state  []byte
	file   *os.File // open from the first Append to Save, seal or Close
	dirty  bool     // data has bytes that were not synced
	done   bool     // written, aborted or closed
	known  bool     // the folder's own entry is durable
}

func (b *Bucket) uploadPath(id string) string { return b.path(bucket.UploadsFolder + "/" + id) }

func checkID(id string) error {
	if bucket.CheckKey(id) != nil || strings.Contains(id, "/") || id[0] == '.' {
		return bucket.ErrKey
	}
	return nil
}

// CreateUpload implements bucket.Bucket. Nothing is synced: no byte of the
// client's is in it.
func (b *Bucket) CreateUpload(ctx context.Context, id string, state []byte) (bucket.Upload, error) {
	if b.lock == nil {
		return nil, errReadOnly
	}
	if err := checkID(id); err != nil {
		return nil, err
	}
	if err := os.Mkdir(b.uploadPath(id), 0o755); err != nil {
		return nil, classify(err)
	}
	u := &upload{bucket: b, id: id, state: state}
	if err := os.WriteFile(u.path("state"), encodeState(0, state), 0o644); err != nil {
		u.remove()
		return nil, classify(err)
	}
	b.inUse.Store(id, true)
	return u, nil
}

// OpenUpload implements bucket.Bucket.
func (b *Bucket) OpenUpload(ctx context.Context, id string) (bucket.Upload, error) {
	if b.lock == nil {
		return nil, errReadOnly
	}
	if err := checkID(id); err != nil {
		return nil, err
	}
	if _, taken := b.inUse.LoadOrStore(id, true); taken {
		return nil, errors.New("dir: upload is open already")
	}
	u := &upload{bucket: b, id: id}
	switch err := u.load(); {
	case err == nil:
		return u, nil
	case errors.Is(err, errDamaged):
		return nil, errors.Join(bucket.ErrNotExist, err, u.remove())
	default:
		b.inUse.Delete(id)
		return nil, err
	}
}

// errDamaged says that an upload cannot be taken up: its state is unreadable, or
// vouches for bytes that are not there, be it that they were published by a
// process that died before it could say so. What is left of it is removed.
var errDamaged = errors.New("dir: upload is damaged")

// load reads the state and cuts off what came after it was saved.
func (u *upload) load() error {
	raw, err := os.ReadFile(u.path("state"))
	if missing(err) {
		return bucket.ErrNotExist
	}
	if err != nil {
		return err
	}
	if u.size, u.state, err = decodeState(raw); err != nil {
		return err
	}
	fi, err := os.Stat(u.path("data"))
	switch {
	case missing(err) && u.size == 0:
		return nil
	case missing(err):
		return errDamaged
	case err != nil:
		return err
	case fi.Size() < u.size:
		return errDamaged
	case fi.Size() > u.size:
		return os.Truncate(u.path("data"), u.size)
	}
	return nil
}

// Uploads implements bucket.Bucket.
func (b *Bucket) Uploads(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		entries, err := os.ReadDir(b.path(bucket.UploadsFolder))
		if err != nil && !missing(err) {
			yield("", err)
			return
		}
		for _, e := range entries {
			if checkID(e.Name()) != nil || !e.IsDir() {
				continue
			}
			if !yield(e.Name(), nil) {
				return
			}
		}
	}
}

func (u *upload) path(name string) string { return u.bucket.uploadPath(u.id) + "/" + name }

func (u *upload) ID() string    { return u.id }
func (u *upload) Size() int64   { return u.size }
func (u *upload) State() []byte { return u.state }

// Append implements bucket.Upload.
func (u *upload) Append(ctx context.Context, offset int64, r io.Reader) (int64, error) {
	if offset != u.size {
		return 0, bucket.ErrOffset
	}
	if u.file == nil {
		f, err := os.OpenFile(u.path("data"), os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			return 0, classify(err)
		}
		u.file = f
	}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	var total int64
	for {
		n, readErr := r.Read(buf[:])
		if n > 0 {
			u.dirty = true
			written, err := u.file.WriteAt(buf[:n], u.size)
			u.size += int64(written)
			total += int64(written)
			if err != nil {
				return total, classify(err)
			}
			u.writeBack(int64(written))
		}
		if readErr == io.EOF {
			return total, nil
		}
		if readErr != nil {
			return total, fmt.Errorf("%w: %w", bucket.ErrSource, readErr)
		}
		if err := ctx.Err(); err != nil {
			return total, fmt.Errorf("%w: %w", bucket.ErrSource, err)
		}
	}
}

// writeBack starts to write to the disk, without waiting for it, each time the
// last n bytes have completed another stretch. It is a hint and cannot fail.
func (u *upload) writeBack(n int64) {
	const syncFileRangeWrite = 2
	if end := u.size / writeBackEvery; end > (u.size-n)/writeBackEvery {
		syscall.SyncFileRange(int(u.file.Fd()), 0, end*writeBackEvery, syncFileRangeWrite)
	}
}

// Reread implements bucket.Rereader.
func (u *upload) Reread() (io.ReadCloser, error) {
	f, err := os.Open(u.path("data"))
	if missing(err) && u.size == 0 {
		return io.NopCloser(strings.NewReader("")), nil
	}
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(f, u.size), f}, nil
}

// Save implements bucket.Upload. The bytes are synced before the state that
// vouches for them is.
func (u *upload) Save(ctx context.Context, state []byte) error {
	if err := u.flush(); err != nil {
		return err
	}
	next := u.path("state.new")
	os.Remove(next) // of a Save that failed
	if err := writeSynced(next, encodeState(u.size, state)); err != nil {
		os.Remove(next)
		return err
	}
	if err := os.Rename(next, u.path("state")); err != nil {
		return classify(err)
	}
	if err := syncFolder(u.path("")); err != nil {
		return classify(err)
	}
	if !u.known {
		if err := syncFolder(u.bucket.path(bucket.UploadsFolder)); err != nil {
			return classify(err)
		}
		u.known = true
	}
	u.state = state
	return nil
}

// flush syncs the data and closes it.
func (u *upload) flush() error {
	f := u.file
	if f == nil {
		return nil
	}
	u.file = nil
	defer f.Close()
	if u.dirty {
		if err := syncFile(f); err != nil {
			return err
		}
		u.dirty = false
	}
	return nil
}

// seal makes the data ready to be renamed: there, synced and closed.
func (u *upload) seal() (file string, err error) {
	file = u.path("data")
	if u.size == 0 && u.file == nil {
		if u.file, err = os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o644); err != nil {
			return "", classify(err)
		}
		u.dirty = true
	}
	return file, u.flush()
}

// Abort implements bucket.Upload.
func (u *upload) Abort(ctx context.Context) error {
	if u.done {
		return nil
	}
	u.done = true
	return u.remove()
}

// remove frees all that is left of the upload.
func (u *upload) remove() error {
	if u.file != nil {
		u.file.Close()
		u.file = nil
	}
	err := os.RemoveAll(u.bucket.uploadPath(u.id))
	u.bucket.inUse.Delete(u.id)
	return err
}

// Close implements bucket.Upload.
func (u *upload) Close() error {
	if u.done {
		return nil
	}
	u.done = true
	var err error
	if u.file != nil {
		err = u.file.Close()
		u.file = nil
	}
	u.bucket.inUse.Delete(u.id)
	return err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeState is the form of the file "state": a checksum of the rest, the size
// of the data, both big-endian, and what the caller wanted kept.
func encodeState(size int64, state []byte) []byte {
	raw := binary.BigEndian.AppendUint64(make([]byte, 4, 12+len(state)), uint64(size))
	raw = append(raw, state...)
	binary.BigEndian.PutUint32(raw, crc32.Checksum(raw[4:], castagnoli))
	return raw
}

func decodeState(raw []byte) (size int64, state []byte, err error) {
	if len(raw) < 12 || binary.BigEndian.Uint32(raw) != crc32.Checksum(raw[4:], castagnoli) {
		return 0, nil, errDamaged
	}
	size = int64(binary.BigEndian.Uint64(raw[4:]))
	if size < 0 {
		return 0, nil, errDamaged
	}
	return size, raw[12:], nil
}
