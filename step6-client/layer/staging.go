package layer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	stagingPrefix = ".unpacking-"
	result        = "result"
)

// staging is a folder beside the target. It is locked as long as it is in use, so
// that Sweep knows.
type staging struct {
	path string
	lock *os.File
}

// disk is how things become durable: everything on the file system of a file, and
// the names in a folder.
type disk struct {
	all    func(*os.File) error
	folder func(path string) error
}

func realDisk() disk { return disk{syncFileSystem, syncFolder} }

// publish has fill make "result" in a staging folder, makes it durable and gives
// it its name.
func publish(target string, d disk, fill func(*staging) error) error {
	if _, err := os.Lstat(target); err == nil {
		return &fs.PathError{Op: "unpack", Path: target, Err: fs.ErrExist}
	}
	parent := filepath.Dir(target)
	s, err := newStaging(parent)
	if err != nil {
		return err
	}
	defer s.remove()
	if err := fill(s); err != nil {
		return err
	}
	// Everything at once: to sync a hundred thousand files one by one takes minutes.
	if err := d.all(s.lock); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(s.path, result), target); err != nil {
		return err
	}
	return d.folder(parent)
}

func newStaging(parent string) (*staging, error) {
	for {
		path, err := os.MkdirTemp(parent, stagingPrefix)
		if err != nil {
			return nil, err
		}
		lock, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // swept before it was locked
		}
		if err != nil {
			return nil, err
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			if _, err := os.Lstat(path); err == nil {
				return &staging{path, lock}, nil
			}
		}
		lock.Close()
	}
}

// folder makes an empty folder and opens it.
func (s *staging) folder(name string) (*os.File, error) {
	path := filepath.Join(s.path, name)
	if err := os.Mkdir(path, 0o700); err != nil {
		return nil, err
	}
	return os.Open(path)
}

func (s *staging) remove() {
	_ = Remove(s.path) // what stays is Sweep's
	s.lock.Close()
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Sweep removes from the folder parent what Unpack and Flatten left there when
// their process died. What a living one is at work on stays.
func Sweep(parent string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), stagingPrefix) {
			continue
		}
		path := filepath.Join(parent, e.Name())
		lock, err := os.Open(path)
		if err != nil {
			continue // its owner was quicker
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			err = Remove(path)
		}
		lock.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
