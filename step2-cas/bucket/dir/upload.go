package dir

import (
	"context"
	"errors"
	"fmt"
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
	file   *os.File // open while data may have bytes that were not synced
	done   bool     // written, aborted or closed
	known  bool     // the folder's own entry is durable
	// broken is why the disk did not keep what it had taken. Asked again it might
	// say that all is well, having dropped the bytes; so it is not asked again.
	broken error
}

func (b *Bucket) uploadPath(id string) string { return b.path(bucket.UploadsFolder + "/" + id) }

var (
	errInUse = errors.New("dir: upload is open already")
	errDone  = errors.New("dir: upload is over")
)

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
	if _, taken := b.inUse.LoadOrStore(id, true); taken {
		return nil, errInUse
	}
	if err := os.Mkdir(b.uploadPath(id), 0o755); err != nil {
		b.inUse.Delete(id)
		return nil, classify(err)
	}
	u := &upload{bucket: b, id: id, state: state}
	if err := os.WriteFile(u.path("state"), encodeState(0, state), 0o644); err != nil {
		u.remove()
		return nil, classify(err)
	}
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
		return nil, errInUse
	}
	u := &upload{bucket: b, id: id}
	switch err := u.load(); {
	case err == nil:
		return u, nil
	case errors.Is(err, bucket.ErrNotExist):
		return nil, errors.Join(err, u.remove())
	default:
		u.Close()
		return nil, err
	}
}

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
		if err := u.openFile(); err != nil {
			return err
		}
		return u.file.Truncate(u.size)
	}
	return nil
}

// openFile opens the data for writing, so that it is synced next.
func (u *upload) openFile() (err error) {
	u.file, err = os.OpenFile(u.path("data"), os.O_WRONLY|os.O_CREATE, 0o644)
	return classify(err)
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
	if err := u.usable(); err != nil {
		return 0, err
	}
	if offset != u.size {
		return 0, bucket.ErrOffset
	}
	if u.file == nil {
		if err := u.openFile(); err != nil {
			return 0, err
		}
	}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	var total int64
	for {
		n, readErr := r.Read(buf[:])
		if n > 0 {
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
	if err := u.usable(); err != nil {
		return err
	}
	next := u.path("state.new")
	os.Remove(next) // of a Save that failed
	f, err := u.bucket.write(next, encodeState(u.size, state))
	if err != nil {
		return err
	}
	files := []*os.File{f}
	if u.file != nil {
		files = []*os.File{u.file, f}
	}
	if err := u.mustKeep(errors.Join(u.bucket.disk.keep(files, nil), u.letGo(), f.Close())); err != nil {
		os.Remove(next)
		return err
	}
	if err := os.Rename(next, u.path("state")); err != nil {
		return classify(err)
	}
	changed := []string{u.bucket.uploadPath(u.id)}
	if !u.known {
		changed = append(changed, u.bucket.path(bucket.UploadsFolder))
	}
	if err := u.mustKeep(u.bucket.disk.keep(nil, changed)); err != nil {
		return err
	}
	u.known = true
	u.state = state
	return nil
}

// usable returns why the upload takes no more, if it does not.
func (u *upload) usable() error {
	if u.done {
		return errDone
	}
	return u.broken
}

// mustKeep takes and returns the error of a sync, after which the upload is
// broken.
func (u *upload) mustKeep(err error) error {
	u.broken = classify(err)
	return u.broken
}

// letGo closes the data.
func (u *upload) letGo() (err error) {
	if u.file != nil {
		err = u.file.Close()
		u.file = nil
	}
	return err
}

// syncAlone is from how many bytes on the data is synced by itself, so that
// nobody else waits for it.
const syncAlone = 1 << 20

// seal makes the data ready to be renamed: it is there, and if the file is still
// open it is to be synced.
func (u *upload) seal() (file string, err error) {
	if u.size == 0 && u.file == nil {
		if err := u.openFile(); err != nil {
			return "", err
		}
	}
	if u.file != nil && u.size >= syncAlone {
		err := u.mustKeep(errors.Join(u.bucket.disk.file(u.file), u.letGo()))
		if err != nil {
			return "", err
		}
	}
	return u.path("data"), nil
}

// Abort implements bucket.Upload.
func (u *upload) Abort(ctx context.Context) error {
	if u.done {
		return nil
	}
	u.done = true
	if err := u.remove(); err != nil {
		return err
	}
	return classify(u.bucket.disk.keep(nil, []string{u.bucket.path(bucket.UploadsFolder)}))
}

// remove frees all that is left of the upload. Its state goes first, since
// without that the rest is no upload.
func (u *upload) remove() error {
	defer u.bucket.inUse.Delete(u.id)
	u.letGo()
	for _, file := range []string{u.path("state"), u.path("state.new"), u.path("data"), u.bucket.uploadPath(u.id)} {
		if err := os.Remove(file); err != nil && !missing(err) {
			return err
		}
	}
	return nil
}

// Close implements bucket.Upload.
func (u *upload) Close() error {
	if u.done {
		return nil
	}
	u.done = true
	defer u.bucket.inUse.Delete(u.id)
	return u.letGo()
}
