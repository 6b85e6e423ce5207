package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"syscall"
	"time"

	"shibafu.dev/step2-cas/bucket"
)

const (
	stagingFolder = bucket.UploadsFolder + "/.staged"
	// stagingFolders is over how many folders staged files are distributed; see
	// spread.
	stagingFolders = 4
)

// stagingPath is the folder for the n-th staged file.
func stagingPath(n uint64) string {
	return stagingFolder + "/" + strconv.FormatUint(n%stagingFolders, 10)
}

// Write implements bucket.Bucket, in phases:
//
//  1. stage: every new file is written under uploads/, and synced there if it is
//     large;
//  2. conditions are checked, and the folders made that are needed;
//  3. commit: a record of all changes, with the bytes of small files, is made durable
//     in the journal;
//  4. apply: files are renamed onto their keys, and others deleted.
//
// Nobody sees a change before the fourth, and after the third one a power cut cannot
// take it away: what it undoes of the fourth, recover does again.
func (b *Bucket) Write(ctx context.Context, changes ...bucket.Change) (err error) {
	if b.lock == nil {
		return errReadOnly
	}
	keys := make([]string, len(changes))
	for i, c := range changes {
		if err := bucket.CheckKey(c.Key); err != nil {
			return err
		}
		keys[i] = c.Key
	}
	if len(keys) == 0 {
		return nil
	}
	for range 3 { // as others may take the room that was made
		trims := b.trims.Load()
		var committed bool
		if committed, err = b.change(ctx, keys, changes); committed || !errors.Is(err, bucket.ErrFull) || !b.makeRoom(trims) {
			break
		}
	}
	return err
}

// change is Write for keys that were checked. committed tells that something may
// have changed, also if there is an error.
func (b *Bucket) change(ctx context.Context, keys []string, changes []bucket.Change) (committed bool, err error) {
	s, err := b.stage(changes)
	defer s.drop()
	if err != nil {
		return false, err
	}
	if err := b.keys.lock(ctx, keys); err != nil {
		return false, err
	}
	defer b.keys.unlock(keys)
	if err := b.check(changes); err != nil {
		return false, err
	}
	// They need room, and if there is none, nothing has been renamed yet.
	if err = b.makeFolders(changes); err == nil {
		committed, err = b.commit(s.record, func() error { return b.apply(changes, s) })
	}
	b.tidy(changes, err != nil)
	return committed, err
}

// staged is what a Write has made ready.
type staged struct {
	// files has one path a change, "" for a deletion and for what was renamed.
	files   []string
	changes []bucket.Change
	record  record
	// small has the bytes of files that nothing but the record makes durable, and losses
	// what Bucket.losses was before each was begun.
	small  [][]byte
	losses []int64
}

// drop removes the files that no rename took.
func (s *staged) drop() {
	for i, f := range s.files {
		if f != "" && s.changes[i].From == nil {
			os.Remove(f)
		}
	}
}

func (b *Bucket) stage(changes []bucket.Change) (*staged, error) {
	n := len(changes)
	s := &staged{files: make([]string, n), changes: changes, small: make([][]byte, n), losses: make([]int64, n)}
	for i, c := range changes {
		var err error
		switch {
		case c.Delete:
			s.record.remove(c.Key)
		case c.From != nil:
			err = b.stageUpload(s, i)
		default:
			err = b.stageData(s, i)
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

func (b *Bucket) stageUpload(s *staged, i int) error {
	c := s.changes[i]
	u, ok := c.From.(*upload)
	if !ok || u.bucket != b {
		return errors.New("dir: not an upload of this bucket")
	}
	if err := u.usable(); err != nil {
		return err
	}
	data, err := u.seal()
	if err != nil {
		return err
	}
	s.files[i] = u.path(dataFile)
	if data == nil {
		s.record.move(c.Key, u.relative(dataFile), u.sealed)
	} else {
		s.small[i], s.losses[i] = data, u.losses
		s.record.put(c.Key, data)
	}
	u.forget(&s.record, data == nil)
	return nil
}

func (b *Bucket) stageData(s *staged, i int) error {
	c := s.changes[i]
	n := b.staged.Add(1)
	name := stagingPath(n) + "/" + strconv.FormatUint(n, 10)
	s.files[i], s.losses[i] = b.path(name), b.losses.Load()
	f, err := b.create(s.files[i], c.Data)
	if err != nil {
		return err
	}
	if len(c.Data) <= inline {
		s.small[i] = c.Data
		s.record.put(c.Key, c.Data)
		return classify(f.Close())
	}
	fi, err := f.Stat()
	if err == nil {
		s.record.move(c.Key, name, identityOf(fi))
	}
	err = errors.Join(err, b.disk.file(f), f.Close())
	if err == nil {
		err = b.disk.folder(path.Dir(f.Name()))
	}
	return classify(err)
}

// create makes a new file, which the caller closes.
func (b *Bucket) create(name string, data []byte) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, classify(err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = os.Chtimes(name, time.Time{}, b.stamp())
	}
	if err != nil {
		f.Close()
		return nil, classify(err)
	}
	return f, nil
}

// stamp returns the time, but never the same twice. File systems of kernels
// before 6.13 count in steps of milliseconds, in which a key can be replaced
// twice, by files of the same inode.
func (b *Bucket) stamp() time.Time {
	for {
		last := b.stamped.Load()
		next := max(time.Now().UnixNano(), last+1)
		if b.stamped.CompareAndSwap(last, next) {
			return time.Unix(0, next)
		}
	}
}

func (b *Bucket) check(changes []bucket.Change) error {
	for _, c := range changes {
		if c.If.Always() {
			continue
		}
		info, err := b.stat(c.Key)
		if err != nil && err != bucket.ErrNotExist {
			return err
		}
		if !c.If.Holds(err == nil, info.Version) {
			return bucket.ErrChanged
		}
	}
	return nil
}

// makeFolders makes those that the changes need.
func (b *Bucket) makeFolders(changes []bucket.Change) error {
	for _, c := range changes {
		if c.Delete {
			continue
		}
		if err := b.makeFolder(path.Dir(b.path(c.Key))); err != nil {
			return err
		}
	}
	return nil
}

// apply makes the changes.
func (b *Bucket) apply(changes []bucket.Change, s *staged) error {
	for _, i := range inOrder(changes) {
		c := changes[i]
		target := b.path(c.Key)
		if c.Delete {
			if err := os.Remove(target); err != nil && !missing(err) {
				return classify(err)
			}
			continue
		}
		if s.small[i] != nil {
			if err := b.writeAgain(s.files[i], s.small[i], s.losses[i]); err != nil {
				return err
			}
		}
		if err := b.rename(s.files[i], target); err != nil {
			return err
		}
		s.files[i] = ""
		if u, ok := c.From.(*upload); ok {
			u.published()
			os.Chmod(target, 0o444) // a hint to people; who writes here goes by the lock
		}
	}
	return nil
}

// writeAgain writes the bytes of a small file again, if the disk has lost some since it
// was begun: they may be in the kernel's memory alone, as if they had been kept, and
// the next checkpoint is not told of it once more.
func (b *Bucket) writeAgain(file string, data []byte, losses int64) error {
	if b.losses.Load() == losses {
		return nil
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	return classify(errors.Join(err, f.Close()))
}

// inOrder returns the indexes of changes in the order in which they are made: data,
// uploads, deletions; then the ones that are to be last. An upload that was published
// cannot be taken up again; so what goes with it comes first, and if that fails the
// upload is as it was.
func inOrder(changes []bucket.Change) []int {
	var data, uploads, deletions, last []int
	for i, c := range changes {
		switch {
		case c.Last:
			last = append(last, i)
		case c.Delete:
			deletions = append(deletions, i)
		case c.From != nil:
			uploads = append(uploads, i)
		default:
			data = append(data, i)
		}
	}
	return slices.Concat(data, uploads, deletions, last)
}

// rename puts file at target and makes the folders above it. Another request may
// be pruning those at the same time, so it tries again.
func (b *Bucket) rename(file, target string) error {
	for range 100 {
		err := syscall.Rename(file, target) // os.Rename looks at target first
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return classify(&os.LinkError{Op: "rename", Old: file, New: target, Err: err})
		}
		if err := b.makeFolder(path.Dir(target)); err != nil {
			return err
		}
	}
	return fmt.Errorf("dir: folder of %s keeps vanishing", path.Base(target))
}

func (b *Bucket) makeFolder(folder string) error {
	err := os.Mkdir(folder, 0o755)
	switch {
	case err == nil || errors.Is(err, fs.ErrExist):
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return classify(err)
	}
	if err := b.makeFolder(path.Dir(folder)); err != nil {
		return err
	}
	if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
		return classify(err)
	}
	return nil
}

// tidy removes folders that are empty because of a deletion, or of a change that
// failed. Nothing depends on it.
func (b *Bucket) tidy(changes []bucket.Change, failed bool) {
	for _, c := range changes {
		if c.Delete || failed {
			b.prune(path.Dir(b.path(c.Key)))
		}
	}
}

// prune removes a folder and those above it, as far as they are empty.
func (b *Bucket) prune(folder string) {
	for len(folder) > len(b.root) && syscall.Rmdir(folder) == nil {
		folder = path.Dir(folder)
	}
}
