// Package dir is a bucket in a folder: one file a key. Where to begin reading:
// write.go has the phases of a write; package journal makes it durable, record.go is
// what stands in there, checkpoint.go empties it and recover.go plays it after a
// crash; upload.go receives bytes, append.go and state.go are parts of that; read.go
// reads.
//
// The folder "uploads" is the bucket's own: it holds the open uploads, the files that
// are being staged, the journal and the lock. All of it is on the file system of the
// keys, so that a rename publishes.
package dir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir/journal"
)

// ErrLocked says that another process writes to the folder.
var ErrLocked = errors.New("dir: another process writes to this folder")

// errReadOnly is what writes to a bucket made by OpenReadOnly end with.
var errReadOnly = errors.New("dir: opened for reading only")

// Bucket is a bucket.Bucket.
type Bucket struct {
	root    string
	lock    *os.File // nil if read-only
	keys    keyLocks
	staged  atomic.Uint64 // numbers the files under uploads/.staged
	stamped atomic.Int64  // the last stamp given out
	inUse   sync.Map      // IDs of open uploads
	disk    *disk
	journal *journal.Journal
	told    sync.Map     // IDs of the uploads that the journal tells of
	losses  atomic.Int64 // how often the disk said that it lost something
	trims   atomic.Int64 // how often the journal gave back its room

	// changing is held for reading from before a record goes into the journal until
	// what it tells of is so.
	changing  sync.RWMutex
	scheduled atomic.Bool // a checkpoint is going to be made
	filled    atomic.Bool // one is being made as the journal is full
	settling  sync.Mutex  // one at a time
	closed    bool        // guarded by settling
}

// Open opens the folder root, made if need be, for reading and writing. There
// is one writer a folder: ErrLocked names the process that holds it. The
// caller closes the bucket.
func Open(root string) (*Bucket, error) {
	b := &Bucket{root: filepath.Clean(root)}
	if err := os.MkdirAll(b.path(bucket.UploadsFolder), 0o755); err != nil {
		return nil, err
	}
	if err := b.takeLock(); err != nil {
		return nil, err
	}
	b.disk = newDisk(b.lock)
	err := b.recover()
	if err == nil {
		err = b.nameHolder("")
	}
	if err != nil {
		b.lock.Close()
		return nil, err
	}
	return b, nil
}

// OpenReadOnly opens the folder root, which must exist, without a lock: for
// looking at a store while another process may be serving it.
func OpenReadOnly(root string) (*Bucket, error) {
	if _, err := os.ReadDir(root); err != nil {
		return nil, err
	}
	return &Bucket{root: filepath.Clean(root)}, nil
}

// Close makes all durable where it belongs and lets go of the lock. Nothing may be
// using the bucket.
func (b *Bucket) Close() error {
	if b.lock == nil {
		return nil
	}
	b.settling.Lock()
	defer b.settling.Unlock()
	if b.closed {
		return os.ErrClosed
	}
	b.closed = true
	err := errors.Join(b.checkpointAlone(true, true), b.journal.Close())
	// Or the journal might come back, and be played over what another program wrote.
	return errors.Join(err, missingIsFine(b.disk.folder(b.path(bucket.UploadsFolder))), b.lock.Close())
}

// SoleWriter is true for the holder of the lock.
func (b *Bucket) SoleWriter() bool { return b.lock != nil }

// lockFile is in the folder of uploads.
const lockFile = ".lock"

func journalName(root string) string { return root + "/" + bucket.UploadsFolder + "/.journal" }

// recovering stands in the lock file until the journal has been played.
const recovering = "recovering"

func (b *Bucket) takeLock() error {
	f, err := os.OpenFile(b.path(bucket.UploadsFolder+"/"+lockFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if err := lock(f); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
		holder, _ := io.ReadAll(io.LimitReader(f, 256))
		holder, _, _ = bytes.Cut(holder, []byte("\n"))
		return fmt.Errorf("%w: %s is held by process %s", ErrLocked, b.root, bytes.TrimSpace(holder))
	}
	b.lock = f
	if err := b.nameHolder(recovering); err != nil {
		f.Close()
		return err
	}
	return nil
}

// lock tries again for a while, as Unsettled holds the lock for some milliseconds.
func lock(f *os.File) (err error) {
	for range 50 {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		time.Sleep(4 * time.Millisecond)
	}
	return err
}

// nameHolder writes into the lock file who has it, and what it is doing, if there is
// room for that.
func (b *Bucket) nameHolder(doing string) error {
	line := fmt.Sprintf("%-10d\n%-10s\n", os.Getpid(), doing)
	_, err := b.lock.WriteAt([]byte(line), 0)
	if err = classify(err); errors.Is(err, bucket.ErrFull) {
		return nil
	}
	return err
}

// missingIsFine is err, unless that says that something is not there.
func missingIsFine(err error) error {
	if missing(err) {
		return nil
	}
	return err
}

// path is where key's file is.
func (b *Bucket) path(key string) string { return b.root + "/" + key }

// classify turns the system's ways to say "full" into bucket.ErrFull.
func classify(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", bucket.ErrFull, err)
	}
	return err
}

// missing tells whether err says that no object is there, be it that a folder
// on the way is missing or that one of them is a file.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// infoOf describes the file of key. Its version changes with every rename onto
// the key, as the new file has another inode, or another time (stamp) if the
// inode of the old one was used again.
func infoOf(key string, fi fs.FileInfo) bucket.Info {
	info := bucket.Info{Key: key, Size: fi.Size(), ModTime: fi.ModTime()}
	var ino uint64
	var changed int64
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		ino, changed = st.Ino, time.Unix(st.Ctim.Unix()).UnixNano()
	}
	var buf [64]byte
	v := strconv.AppendUint(buf[:0], ino, 36)
	v = strconv.AppendInt(append(v, '.'), fi.ModTime().UnixNano(), 36)
	v = strconv.AppendInt(append(v, '.'), changed, 36)
	info.Version = string(strconv.AppendInt(append(v, '.'), info.Size, 36))
	return info
}
