package auth

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"time"
)

// source is a file as it was seen last.
type source struct {
	path     string
	raw      []byte
	seen     stamp
	required bool
}

// stamp tells whether a file may have changed. One that was changed just before it was
// read may change again without a new time.
type stamp struct {
	size    int64
	changed time.Time
	info    os.FileInfo
	settled bool
}

// coarse is how far apart two changes may be and still have the same time.
const coarse = 2 * time.Second

// read tells whether the file's bytes are others than before.
func (f *source) read() (changed bool, err error) {
	if f.path == "" {
		return false, nil
	}
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) && !f.required && f.raw == nil {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if f.seen.same(info) {
		return false, nil
	}
	raw, err := readFile(f.path)
	if err != nil {
		return false, err
	}
	changed = f.raw == nil || !bytes.Equal(raw, f.raw)
	f.raw = append(make([]byte, 0, len(raw)+1), raw...) // never nil
	f.seen = stamp{info.Size(), info.ModTime(), info, time.Since(info.ModTime()) > coarse}
	return changed, nil
}

func (s stamp) same(info os.FileInfo) bool {
	return s.settled && s.size == info.Size() && s.changed.Equal(info.ModTime()) && os.SameFile(s.info, info)
}
