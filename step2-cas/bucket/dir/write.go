package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
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
//  1. stage: every new file is written under uploads/ and synced;
//  2. apply: conditions are checked and the files renamed onto their keys;
//  3. settle: every folder that changed is synced, once;
//     2 and 3 are done again for changes that are to be made last;
//  4. publish: the keys are shown to readers.
//
// No file is renamed before its own sync, and between 2 and 4 the keys are
// pending, so whoever sees a change sees one that a power cut leaves in place.
func (b *Bucket) Write(ctx context.Context, changes ...bucket.Change) error {
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
	files, err := b.stage(changes)
	defer removeStaged(files, changes)
	if err != nil {
		return err
	}
	if err := b.pending.acquire(ctx, keys); err != nil {
		return err
	}
	var doubt error
	defer func() { b.pending.release(keys, doubt) }()
	if err := b.check(changes); err != nil {
		return err
	}
	// The folders come first: they need room, and if there is none, nothing has
	// been renamed yet.
	err = b.makeFolders(changes)
	for _, turn := range inTurn(changes) {
		if err != nil {
			break
		}
		var changed folders
		changed, err = b.apply(changes, turn, files)
		// What was renamed is synced even if a later rename failed: it is there, and
		// release shows it.
		if doubt = b.settle(changed); doubt != nil {
			return doubt
		}
	}
	b.tidy(changes, err != nil)
	return err
}

// stage makes the new files, synced. The result has one path a change, "" for a
// deletion.
func (b *Bucket) stage(changes []bucket.Change) (files []string, err error) {
	files = make([]string, len(changes))
	var written []*os.File
	defer func() {
		for _, f := range written {
			if closeErr := f.Close(); err == nil {
				err = classify(closeErr)
			}
		}
	}()
	for i, c := range changes {
		switch {
		case c.Delete:
		case c.From != nil:
			u, ok := c.From.(*upload)
			if !ok || u.bucket != b {
				return files, errors.New("dir: not an upload of this bucket")
			}
			if err := u.usable(); err != nil {
				return files, err
			}
			if files[i], err = u.seal(); err != nil {
				return files, err
			}
		default:
			n := b.staged.Add(1)
			files[i] = b.path(stagingPath(n) + "/" + strconv.FormatUint(n, 10))
			f, err := b.write(files[i], c.Data)
			if err != nil {
				return files, err
			}
			written = append(written, f)
		}
	}
	return files, b.keepStaged(written, changes)
}

// keepStaged syncs the new files and those of the uploads. An upload whose bytes
// were not kept is broken.
func (b *Bucket) keepStaged(written []*os.File, changes []bucket.Change) error {
	all := slices.Clone(written)
	for _, c := range changes {
		if u, ok := c.From.(*upload); ok && u.file != nil {
			all = append(all, u.file)
		}
	}
	if len(all) == 0 {
		return nil
	}
	err := classify(b.disk.keep(all, nil))
	for _, c := range changes {
		if u, ok := c.From.(*upload); ok && u.file != nil {
			err = errors.Join(err, u.mustKeep(errors.Join(err, u.letGo())))
		}
	}
	return err
}

// removeStaged removes the files that no rename took.
func removeStaged(files []string, changes []bucket.Change) {
	for i, f := range files {
		if f != "" && changes[i].From == nil {
			os.Remove(f)
		}
	}
}

// write makes a new file, which the caller syncs and closes.
func (b *Bucket) write(name string, data []byte) (*os.File, error) {
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

// apply makes the changes of those indexes and returns the folders that must be
// synced for them.
func (b *Bucket) apply(changes []bucket.Change, turn []int, files []string) (folders, error) {
	changed := folders{}
	for _, i := range turn {
		c := changes[i]
		target := b.path(c.Key)
		if c.Delete {
			if err := os.Remove(target); err == nil {
				changed[path.Dir(target)] = true
			} else if !missing(err) {
				return changed, classify(err)
			}
			continue
		}
		if err := b.rename(files[i], target); err != nil {
			return changed, err
		}
		files[i] = ""
		if u, ok := c.From.(*upload); ok {
			u.done = true
			os.Chmod(target, 0o444) // a hint to people; who writes here goes by the lock
		}
		changed[path.Dir(target)] = true
		b.fresh.parents(b.root, path.Dir(target), changed)
	}
	return changed, nil
}

// inTurn returns the indexes of changes in the order in which they are made: data,
// uploads, deletions; then, once those are durable, the ones that are to be last.
// An upload that was published cannot be taken up again; so what goes with it
// comes first, and whoever dies or fails on the way leaves the upload as it was.
func inTurn(changes []bucket.Change) (turns [][]int) {
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
	for _, turn := range [][]int{slices.Concat(data, uploads, deletions), last} {
		if len(turn) > 0 {
			turns = append(turns, turn)
		}
	}
	return turns
}

// rename puts file at target and makes the folders above it. Another request may
// be pruning those at the same time, so it tries again.
func (b *Bucket) rename(file, target string) error {
	for range 100 {
		err := os.Rename(file, target)
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return classify(err)
		}
		if err := b.makeFolder(path.Dir(target)); err != nil {
			return err
		}
	}
	return fmt.Errorf("dir: folder of %s keeps vanishing", path.Base(target))
}

func (b *Bucket) makeFolder(folder string) error {
	err := b.fresh.make(folder)
	switch {
	case err == nil || errors.Is(err, fs.ErrExist):
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return classify(err)
	}
	if err := b.makeFolder(path.Dir(folder)); err != nil {
		return err
	}
	if err := b.fresh.make(folder); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
		return classify(err)
	}
	return nil
}

// settle syncs the folders. Where the disk refuses, what was renamed can be
// neither vouched for nor taken back.
func (b *Bucket) settle(changed folders) error {
	if len(changed) == 0 {
		return nil
	}
	made := b.fresh.snapshot()
	if err := b.disk.keep(nil, slices.Sorted(maps.Keys(changed))); err != nil {
		return fmt.Errorf("dir: the disk cannot make changes durable, so nothing more is written: %w", err)
	}
	b.fresh.settled(changed, made)
	return nil
}

// tidy removes what the changes left behind: the rest of finished uploads, and
// folders that are empty because of a deletion, or of a change that failed.
// Nothing depends on it.
func (b *Bucket) tidy(changes []bucket.Change, failed bool) {
	for _, c := range changes {
		if u, ok := c.From.(*upload); ok && u.done {
			u.remove()
		}
		if !c.Delete && !failed {
			continue
		}
		for folder := path.Dir(b.path(c.Key)); len(folder) > len(b.root); folder = path.Dir(folder) {
			if b.fresh.remove(folder) != nil {
				break
			}
		}
	}
}
