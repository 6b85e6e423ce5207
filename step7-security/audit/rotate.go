package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Reopen lets go of the file and opens the one that has its name now, for programs that
// rotate logs themselves. Where that fails, the log goes on in the file before.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	before := l.file
	if err := l.open(); err != nil {
		return err
	}
	l.old = append(l.old, before)
	return nil
}

// replace gives the file another name and begins a new one. Where that fails the log goes
// on in the file, and tries again when that has grown by some more. mu is held.
func (l *Log) replace() {
	before := l.file
	name, err := l.nextName()
	if err == nil {
		err = os.Rename(l.opts.File, name)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) { // or somebody has moved it already
		if err = l.open(); err == nil {
			l.old = append(l.old, before)
		}
	}
	if err == nil {
		err = l.prune()
	} else {
		l.rotate = l.size + l.opts.Size/8 + 1
	}
	if err != nil {
		l.opts.Log.Error("the audit log could not be rotated", "cause", err)
	}
}

// nextName is the name for the file that is replaced: its own with a number that is
// greater than all there are, so that nothing is ever overwritten.
func (l *Log) nextName() (string, error) {
	numbers, err := l.numbers()
	if err != nil {
		return "", err
	}
	next := uint64(1)
	if len(numbers) > 0 {
		next += numbers[len(numbers)-1]
	}
	name := l.numbered(next)
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return "", errors.Join(fmt.Errorf("%s: %w", name, fs.ErrExist), err)
	}
	return name, nil
}

func (l *Log) numbered(n uint64) string { return fmt.Sprintf("%s.%06d", l.opts.File, n) }

// numbers are those of the old files, in ascending order.
func (l *Log) numbers() ([]uint64, error) {
	entries, err := os.ReadDir(filepath.Dir(l.opts.File))
	if err != nil {
		return nil, err
	}
	var all []uint64
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), filepath.Base(l.opts.File)+".")
		n, err := strconv.ParseUint(text, 10, 63)
		if ok && err == nil && filepath.Base(l.numbered(n)) == e.Name() {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}

// prune removes the oldest files, so that as many stay as may be kept.
func (l *Log) prune() error {
	numbers, err := l.numbers()
	if err != nil {
		return err
	}
	var errs []error
	for len(numbers) > l.opts.Keep {
		errs = append(errs, os.Remove(l.numbered(numbers[0])))
		numbers = numbers[1:]
	}
	return errors.Join(errs...)
}
