// Package durable replaces small files, so that a reader sees the old one or the new one
// and a crash leaves one of them.
package durable

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Write puts data at path with mode 0600, in the place of what is there; where that is a
// link, of what it leads to. When it has returned nil, the file survives a power cut.
func Write(path string, data []byte) error {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		path = to
	}
	folder := filepath.Dir(path)
	temp, err := os.CreateTemp(folder, ".new-*") // has mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Sync()
	}
	if err := errors.Join(err, temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return Sync(folder)
}

// Sync makes durable what names a folder holds.
func Sync(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Lock holds off all others that lock path, in this process and others, until unlock is
// called. It makes the file, with mode 0600, and leaves it there.
func Lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
