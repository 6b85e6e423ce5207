package dir

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"strings"
	"time"

	"shibafu.dev/step2-cas/bucket"
)

// upload is two files: uploads/<id>.data grows, and <id>.state, made by the first
// Save, says up to where data was saved, and with what. Most uploads are done in
// one request; those cost no other file than the one that is published.
type upload struct {
	bucket *Bucket
	id     string
	size   int64
	state  []byte
	file   *os.File // open while data may have bytes that were not synced
	done   bool     // written, aborted or closed
	saved  bool     // some Save succeeded
	named  bool     // the name of the data is durable
	sealed identity // of the data, if it is durable
	losses int64    // what Bucket.losses was before the data was begun
	// broken is why the disk did not keep what it had taken. Asked again it might
	// say that all is well, having dropped the bytes; so it is not asked again.
	broken error
}

// What the files of an upload end with. A state is written beside the last one,
// which it then replaces.
const (
	dataFile     = ".data"
	stateFile    = ".state"
	newStateFile = ".state.new"
)

// relative is where the file that ends with kind is below the bucket's root.
func (u *upload) relative(kind string) string { return bucket.UploadsFolder + "/" + u.id + kind }

func (u *upload) path(kind string) string { return u.bucket.path(u.relative(kind)) }

var errDone = errors.New("dir: upload is over")

func checkID(id string) error {
	if id == "" || id[0] == '.' || strings.Contains(id, "/") || bucket.CheckKey(id+newStateFile) != nil {
		return bucket.ErrKey
	}
	return nil
}

// CreateUpload implements bucket.Bucket.
func (b *Bucket) CreateUpload(ctx context.Context, id string) (bucket.Upload, error) {
	if err := b.forgetID(id); err != nil {
		return nil, err
	}
	u, err := b.claim(id)
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(u.path(stateFile)); !missing(err) {
		b.inUse.Delete(id)
		return nil, &fs.PathError{Op: "create", Path: u.path(stateFile), Err: cmp.Or(err, fs.ErrExist)}
	}
	return u, nil
}

// claim makes an upload that nobody else can open until it is over.
func (b *Bucket) claim(id string) (*upload, error) {
	if b.lock == nil {
		return nil, errReadOnly
	}
	if err := checkID(id); err != nil {
		return nil, err
	}
	if _, taken := b.inUse.LoadOrStore(id, true); taken {
		return nil, bucket.ErrInUse
	}
	return &upload{bucket: b, id: id, losses: b.losses.Load()}, nil
}

// OpenUpload implements bucket.Bucket.
func (b *Bucket) OpenUpload(ctx context.Context, id string) (bucket.Upload, error) {
	u, err := b.claim(id)
	if err != nil {
		return nil, err
	}
	u.saved = true
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
	raw, err := os.ReadFile(u.path(stateFile))
	if missing(err) {
		return bucket.ErrNotExist
	}
	if err != nil {
		return err
	}
	if u.size, u.state, err = decodeState(raw); err != nil {
		return err
	}
	fi, err := os.Stat(u.path(dataFile))
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
	flags := os.O_WRONLY | os.O_CREATE
	if u.size == 0 {
		flags |= os.O_TRUNC
	}
	u.file, err = os.OpenFile(u.path(dataFile), flags, 0o644)
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
			id, ok := strings.CutSuffix(e.Name(), stateFile)
			if !ok || checkID(id) != nil || !e.Type().IsRegular() {
				continue
			}
			if !yield(id, nil) {
				return
			}
		}
	}
}

func (u *upload) ID() string    { return u.id }
func (u *upload) Size() int64   { return u.size }
func (u *upload) State() []byte { return u.state }

// Save implements bucket.Upload. What there is of a small upload goes into the
// journal with its state; of a larger one the bytes are synced before the state that
// vouches for them is.
func (u *upload) Save(ctx context.Context, state []byte) error {
	if err := u.usable(); err != nil {
		return err
	}
	data, err := u.seal()
	if err != nil {
		return err
	}
	raw := encodeState(u.size, state)
	if err := u.stageState(raw); err != nil {
		return err
	}
	var r record
	if len(data) > 0 {
		r.begin(u.relative(dataFile), data)
	}
	r.put(u.relative(stateFile), raw)
	committed, err := u.bucket.commit(r, func() error {
		u.bucket.told.Store(u.id, true)
		if len(data) > 0 {
			if err := u.bucket.writeAgain(u.path(dataFile), data, u.losses); err != nil {
				return err
			}
		}
		return classify(os.Rename(u.path(newStateFile), u.path(stateFile)))
	})
	switch {
	case err == nil:
		u.state, u.saved = state, true
		return nil
	case !committed && errors.Is(err, bucket.ErrFull):
		return err // the bytes are where they were
	}
	return u.mustKeep(err)
}

// stageState writes a state beside the one that it is going to replace.
func (u *upload) stageState(raw []byte) error {
	next := u.path(newStateFile)
	os.Remove(next) // of a Save that failed
	trims := u.bucket.trims.Load()
	f, err := u.bucket.create(next, raw)
	if errors.Is(err, bucket.ErrFull) && u.bucket.makeRoom(trims) {
		os.Remove(next)
		f, err = u.bucket.create(next, raw)
	}
	if err != nil {
		os.Remove(next)
		return err
	}
	return classify(f.Close())
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

// seal makes the data ready to be kept: the file is there, and closed, so that
// nothing can still write to it. If it is small enough for the journal its bytes are
// returned; else it is durable, with its name.
func (u *upload) seal() (data []byte, err error) {
	if u.size == 0 && u.file == nil {
		if err := u.openFile(); err != nil {
			return nil, err
		}
	}
	if u.size <= inline {
		if err := u.letGo(); err != nil {
			return nil, u.mustKeep(err)
		}
		data, err = os.ReadFile(u.path(dataFile))
		if err == nil && int64(len(data)) != u.size {
			err = errDamaged
		}
		return data, err
	}
	if u.file != nil || u.sealed == (identity{}) {
		if err := u.mustKeep(u.sync()); err != nil {
			return nil, err
		}
	}
	if !u.named {
		err = u.mustKeep(u.bucket.disk.folder(u.bucket.path(bucket.UploadsFolder)))
		u.named = err == nil
	}
	return nil, err
}

// sync makes the data durable, with an identity.
func (u *upload) sync() error {
	if u.file == nil {
		if err := u.openFile(); err != nil {
			return err
		}
	}
	err := os.Chtimes(u.path(dataFile), time.Time{}, u.bucket.stamp())
	var fi os.FileInfo
	if err == nil {
		fi, err = u.file.Stat()
	}
	if err = errors.Join(err, u.bucket.disk.file(u.file), u.letGo()); err == nil {
		u.sealed = identityOf(fi)
	}
	return err
}

// forgetID makes sure that the journal does not tell of an upload of that ID which is
// over: what it says of its files would be done to those of the next one.
func (b *Bucket) forgetID(id string) error {
	if b.lock == nil {
		return nil
	}
	if _, told := b.told.Load(id); told {
		return b.checkpoint(false)
	}
	return b.journal.Failed()
}

// forget adds to r that there is no such upload any more, if the journal or a crash
// may tell of it. Data that r moves away is left out.
func (u *upload) forget(r *record, moved bool) {
	if !u.saved {
		return
	}
	r.remove(u.relative(stateFile))
	if !moved {
		r.remove(u.relative(dataFile))
	}
}

// Abort implements bucket.Upload.
func (u *upload) Abort(ctx context.Context) error {
	if u.done {
		return nil
	}
	u.done = true
	var r record
	if u.forget(&r, false); len(r) == 0 {
		return u.remove()
	}
	committed, err := u.bucket.commit(r, func() error {
		u.bucket.told.Store(u.id, true)
		return u.remove()
	})
	if !committed { // its bytes may be what the disk is full of
		err = errors.Join(err, u.remove())
	}
	return err
}

// published ends the upload, whose data was moved away.
func (u *upload) published() {
	u.done = true
	u.bucket.told.Store(u.id, true)
	defer u.bucket.inUse.Delete(u.id)
	if u.saved {
		os.Remove(u.path(stateFile))
	}
}

// remove frees all that there is of the upload. Its state goes first, since without
// that the rest is no upload.
func (u *upload) remove() error {
	defer u.bucket.inUse.Delete(u.id)
	u.letGo()
	for _, kind := range []string{stateFile, newStateFile, dataFile} {
		if err := os.Remove(u.path(kind)); err != nil && !missing(err) {
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
	if !u.saved {
		return u.remove()
	}
	defer u.bucket.inUse.Delete(u.id)
	return u.letGo()
}
