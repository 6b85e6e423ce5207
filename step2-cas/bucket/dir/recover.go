package dir

import (
	"bytes"
	"errors"
	"fmt"
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
	b.journal, payloads, err = journal.Open(journalNames(b.root), func(f *os.File) error { return b.disk.data(f) })
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
	if err := os.MkdirAll(b.path(stagingFolder), 0o755); err != nil {
		return classify(err)
	}
	if err := b.play(payloads, false); err != nil {
		return fmt.Errorf("playing the journal: %w", err)
	}
	if err := b.removeUnsaved(); err != nil {
		return err
	}
	if err := b.resetStaging(); err != nil {
		return err
	}
	if err := b.disk.all(); err != nil {
		return err
	}
	return b.journal.Trim()
}

// Unsettled tells whether the process that wrote to the folder root has died, and none
// has opened it since: what is in its journal may not be in its files.
func Unsettled(root string) (bool, error) {
	folder := filepath.Join(root, bucket.UploadsFolder)
	lock, err := os.Open(folder + lockFile)
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer lock.Close()
	switch err := syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return false, nil
	case err != nil:
		return false, err
	}
	payloads, err := journal.Read(journalNames(root))
	return len(payloads) > 0, err
}

// play makes the files as the records of the journal say; with again also those that
// are so already. It does not matter how often it is done.
func (b *Bucket) play(payloads [][]byte, again bool) error {
	ops, err := lastWords(payloads)
	if err != nil {
		return err
	}
	// What is removed goes first: it may be in the way of another's folder, or be one.
	for _, o := range ops {
		if o.kind == opRemove {
			if err := b.redo(o, again); err != nil {
				return err
			}
		}
	}
	for _, o := range ops {
		if o.kind != opRemove {
			if err := b.redo(o, again); err != nil {
				return err
			}
		}
	}
	return nil
}

// lastWords returns what is to become of each path. Only the last word on a path
// counts, as the bytes that an earlier one moved there may be gone.
func lastWords(payloads [][]byte) (map[string]op, error) {
	last := map[string]op{}
	for _, payload := range payloads {
		ops, err := record(payload).ops()
		if err != nil {
			return nil, err
		}
		for _, o := range ops {
			last[o.path] = o
			if o.kind == opMove {
				delete(last, string(o.data))
			}
		}
	}
	return last, nil
}

// redo makes one file as it is to be.
func (b *Bucket) redo(o op, again bool) error {
	target := b.path(o.path)
	switch o.kind {
	case opPut:
		if old, err := os.ReadFile(target); err == nil && bytes.Equal(old, o.data) && !again {
			return nil
		}
		staged := b.path(stagingFolder + "/redo")
		os.Remove(staged)
		f, err := b.create(staged, o.data)
		if err != nil {
			return err
		}
		return errors.Join(f.Close(), b.rename(staged, target))
	case opMove:
		from := b.path(string(o.data))
		if _, err := os.Lstat(from); missing(err) {
			return nil // moved already
		}
		return b.rename(from, target)
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
		return classify(errors.Join(err, f.Close()))
	}
}

// removeUnsaved removes the uploads that were not saved.
func (b *Bucket) removeUnsaved() error {
	entries, err := os.ReadDir(b.path(bucket.UploadsFolder))
	if err != nil {
		return err
	}
	files := map[string]bool{}
	for _, e := range entries {
		files[e.Name()] = e.Type().IsRegular()
	}
	for file := range files {
		id, isData := strings.CutSuffix(file, dataFile)
		if !strings.HasSuffix(file, newStateFile) && (!isData || files[id+stateFile]) {
			continue
		}
		if err := os.Remove(b.path(bucket.UploadsFolder + "/" + file)); err != nil {
			return err
		}
	}
	return nil
}

// resetStaging makes the folder for staged files anew.
func (b *Bucket) resetStaging() error {
	staging := b.path(stagingFolder)
	if err := os.RemoveAll(staging); err != nil {
		return err
	}
	if err := os.Mkdir(staging, 0o755); err != nil {
		return classify(err)
	}
	spread(staging)
	for i := range stagingFolders {
		if err := os.Mkdir(b.path(stagingPath(uint64(i))), 0o755); err != nil {
			return classify(err)
		}
	}
	return nil
}
