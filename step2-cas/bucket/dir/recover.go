package dir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir/journal"
)

// recover makes of what an earlier process left what it would have made: it plays
// the journal, removes what was on its way without having been committed, and makes
// the rest durable, as the process may have died over doing so.
func (b *Bucket) recover() error {
	var payloads [][]byte
	var err error
	// The disk is looked up when it is asked, as tests put another in its place.
	b.journal, payloads, err = journal.Open(journalName(b.root), func(f *os.File) error { return b.disk.data(f) })
	if err != nil {
		return classify(err)
	}
	if err := b.settleJournal(payloads); err != nil {
		b.journal.Fail(err)
		b.journal.Close()
		return err
	}
	return nil
}

func (b *Bucket) settleJournal(payloads [][]byte) error {
	ops, err := b.lastWords(payloads)
	if err != nil {
		return err
	}
	// First, as the disk may be full of it: what nothing tells of.
	keep := map[string]bool{}
	for _, o := range ops {
		keep[o.path] = true
		if o.kind == opMove {
			keep[string(o.data)] = true
		}
	}
	if err := b.removeUncommitted(keep); err != nil {
		return err
	}
	if err := b.makeStaging(); err != nil {
		return err
	}
	if err := b.play(ops); err != nil {
		return fmt.Errorf("playing the journal: %w", err)
	}
	if err := b.removeUncommitted(nil); err != nil {
		return err
	}
	if err := b.disk.all(); err != nil {
		return err
	}
	return b.journal.Trim()
}

// Unsettled tells whether the process that wrote to the folder root has died, and none
// has taken it over since: what is in its journal may not be in its files.
func Unsettled(root string) (bool, error) {
	name := filepath.Join(root, bucket.UploadsFolder, lockFile)
	lock, err := os.Open(name)
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer lock.Close()
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder, err := os.ReadFile(name)
		return bytes.Contains(holder, []byte(recovering)), err
	}
	if err != nil {
		return false, err
	}
	payloads, err := journal.Read(journalName(root))
	return len(payloads) > 0, err
}

// play makes the files as the last words of the journal say, also those that seem to be
// so already: what is in the kernel's memory the disk may have refused. It does not
// matter how often it is done.
func (b *Bucket) play(ops map[string]op) error {
	// What is removed goes first: it may be in the way of another's folder, or be one.
	for _, o := range ops {
		if o.kind == opRemove {
			if err := b.redo(o); err != nil {
				return err
			}
		}
	}
	for _, o := range ops {
		if o.kind != opRemove {
			if err := b.redo(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// lastWords returns what is to become of each path. Only the last word on a path
// counts, as the bytes that an earlier one moved there may be gone.
//
// A record that moves a file which is neither here nor there is left out: it was
// refused, and its bytes removed, but the disk kept the record all the same.
func (b *Bucket) lastWords(payloads [][]byte) (map[string]op, error) {
	all := make([][]op, len(payloads))
	for i, payload := range payloads {
		var err error
		if all[i], err = record(payload).ops(); err != nil {
			return nil, err
		}
	}
	for {
		last, from := map[string]op{}, map[string]int{}
		for i, ops := range all {
			for _, o := range ops {
				last[o.path], from[o.path] = o, i
				if o.kind == opMove {
					delete(last, string(o.data))
				}
			}
		}
		refused := false
		for path, o := range last {
			if o.kind == opMove && !b.is(string(o.data), o.file) && !b.is(path, o.file) {
				all[from[path]], refused = nil, true
			}
		}
		if !refused {
			return last, nil
		}
	}
}

// is tells whether the file at path is that one.
func (b *Bucket) is(path string, file identity) bool {
	fi, err := os.Lstat(b.path(path))
	return err == nil && identityOf(fi) == file
}

// redo makes one file as it is to be.
func (b *Bucket) redo(o op) error {
	target := b.path(o.path)
	switch o.kind {
	case opPut:
		staged := b.path(stagingFolder + "/redo")
		os.Remove(staged)
		f, err := b.create(staged, o.data)
		if errors.Is(err, bucket.ErrFull) && holds(target, o.data) {
			return nil // on a full disk, that must do
		}
		if err != nil {
			return err
		}
		return errors.Join(f.Close(), b.rename(staged, target))
	case opMove:
		if !b.is(string(o.data), o.file) {
			return nil // moved already
		}
		return b.rename(b.path(string(o.data)), target)
	case opRemove:
		err := syscall.Unlink(target)
		if err != nil && err != syscall.EISDIR && !missing(err) {
			return &os.PathError{Op: "unlink", Path: target, Err: err}
		}
		b.prune(path.Dir(target))
		return nil
	default:
		f, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			return classify(err)
		}
		_, err = f.WriteAt(o.data, 0)
		err = classify(errors.Join(err, f.Close()))
		if errors.Is(err, bucket.ErrFull) && begins(target, o.data) {
			return nil
		}
		return err
	}
}

// holds tells whether a file has these bytes, as far as the kernel knows.
func holds(file string, data []byte) bool {
	fi, err := os.Lstat(file)
	return err == nil && fi.Size() == int64(len(data)) && begins(file, data)
}

// begins tells whether a file begins with these bytes.
func begins(file string, data []byte) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	raw := make([]byte, len(data))
	_, err = io.ReadFull(f, raw)
	return err == nil && bytes.Equal(raw, data)
}

// removeUncommitted removes staged files, and uploads that were not saved, but for
// those whose paths are to be kept.
func (b *Bucket) removeUncommitted(keep map[string]bool) error {
	uploads, err := filesIn(b.path(bucket.UploadsFolder))
	if err != nil {
		return err
	}
	var paths []string
	for file := range uploads {
		id, isData := strings.CutSuffix(file, dataFile)
		path := bucket.UploadsFolder + "/" + file
		saved := uploads[id+stateFile] || keep[bucket.UploadsFolder+"/"+id+stateFile]
		if strings.HasSuffix(file, newStateFile) || isData && !saved {
			paths = append(paths, path)
		}
	}
	for i := range stagingFolders {
		folder := stagingPath(uint64(i))
		staged, err := filesIn(b.path(folder))
		if err != nil {
			return err
		}
		for file := range staged {
			paths = append(paths, folder+"/"+file)
		}
	}
	paths = append(paths, stagingFolder+"/redo")
	for _, path := range paths {
		if keep[path] {
			continue
		}
		if err := os.Remove(b.path(path)); err != nil && !missing(err) {
			return err
		}
	}
	return nil
}

// filesIn returns the names of the files in a folder; none if there is no folder.
func filesIn(folder string) (map[string]bool, error) {
	entries, err := os.ReadDir(folder)
	if err != nil && !missing(err) {
		return nil, err
	}
	files := map[string]bool{}
	for _, e := range entries {
		if e.Type().IsRegular() {
			files[e.Name()] = true
		}
	}
	return files, nil
}

// makeStaging makes the folders for staged files that are not there.
func (b *Bucket) makeStaging() error {
	switch err := os.Mkdir(b.path(stagingFolder), 0o755); {
	case err == nil:
		spread(b.path(stagingFolder))
	case !errors.Is(err, os.ErrExist):
		return classify(err)
	}
	for i := range stagingFolders {
		if err := os.Mkdir(b.path(stagingPath(uint64(i))), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return classify(err)
		}
	}
	return nil
}
