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
)

// errGap says that the journal's two files do not follow each other, so that one of
// them must have lost what it held.
var errGap = errors.New("dir: the journal is damaged: records are missing between its files")

// recover makes of what an earlier process left what it would have made: it plays
// the journal, removes what was on its way without having been committed, and makes
// the rest durable, as the process may have died over doing so.
func (b *Bucket) recover() error {
	if err := os.MkdirAll(b.path(stagingFolder), 0o755); err != nil {
		return classify(err)
	}
	if err := b.replay(false); err != nil {
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
	removed := false
	for _, name := range b.journal.names {
		err := os.Remove(name)
		if err != nil && !missing(err) {
			return err
		}
		removed = removed || err == nil
	}
	if !removed {
		return nil
	}
	// Or a journal that has been played might come back after a newer one was begun.
	return b.disk.folder(b.path(bucket.UploadsFolder))
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
	ops, err := readJournal(journalNames(root))
	return len(ops) > 0, err
}

// replay makes the files as the journal says; with again also those that are so
// already. It does not matter how often it is done.
func (b *Bucket) replay(again bool) error {
	ops, err := readJournal(b.journal.names)
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

// readJournal returns what is to become of each path: only the last word on a path
// counts, as the bytes that an earlier one moved there may be gone.
func readJournal(names [2]string) (map[string]op, error) {
	var first [2]uint64
	var payloads [2][][]byte
	for i, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil && !missing(err) {
			return nil, err
		}
		first[i], payloads[i] = readRecords(raw)
	}
	older, newer := 0, 1
	if len(payloads[0]) == 0 || len(payloads[1]) > 0 && first[1] < first[0] {
		older, newer = 1, 0
	}
	if len(payloads[newer]) > 0 {
		// The older one may end with records for which there was no room and no sync, and
		// whose numbers were used again.
		before := first[newer] - first[older]
		if before > uint64(len(payloads[older])) {
			return nil, errGap
		}
		payloads[older] = payloads[older][:before]
	}
	last := map[string]op{}
	for _, payload := range append(payloads[older], payloads[newer]...) {
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
