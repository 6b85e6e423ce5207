// Package watch keeps what is parsed from files up to date while a program runs: it
// looks at the files now and then, and keeps the last good version where a new one
// is bad.
package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// MaxFile is the largest file that is read, in bytes.
const MaxFile = 16 << 20

// ErrTooLarge says that a file is larger than MaxFile.
var ErrTooLarge = errors.New("watch: file is too large")

// Files is what some files hold, parsed as a T. Its methods may be called at once
// from many goroutines.
type Files[T any] struct {
	names []string
	parse func(contents [][]byte) (T, error)

	current atomic.Pointer[T]
	// failed is the error of the last look, nil if it was good.
	failed atomic.Pointer[error]

	mu     sync.Mutex // of looking
	stamps []stamp
	read   [][]byte
}

// Open reads the files and parses them; parse gets their contents in the order of
// names. An error of the first version is returned.
func Open[T any](parse func(contents [][]byte) (T, error), names ...string) (*Files[T], error) {
	f := &Files[T]{names: names, parse: parse}
	if _, err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Current is the last good version.
func (f *Files[T]) Current() T { return *f.current.Load() }

// Err is why Current is not what the files hold now; nil if it is, as far as was
// looked.
func (f *Files[T]) Err() error {
	if err := f.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Reload reads the files, whether they look changed or not. If they are bad, the
// version before stays, and the error says why; changed tells whether Current is
// another than before.
func (f *Files[T]) Reload() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.load(f.look())
}

// Poll is Reload where a file's size, time or identity is another than before; it
// costs a stat for each file.
func (f *Files[T]) Poll() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := f.look()
	for i, s := range seen {
		if !s.same(f.stamps[i]) {
			return f.load(seen)
		}
	}
	return false, nil
}

// Run polls until ctx ends, and logs what it finds: a good version, and once each bad
// one. changed is called after each good one; it may be nil.
func (f *Files[T]) Run(ctx context.Context, every time.Duration, log *slog.Logger, changed func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch found, err := f.Poll(); {
		case err != nil && err.Error() != said:
			said = err.Error()
			log.Error("a file was changed and cannot be used; the version before stays in force", "cause", err)
		case found:
			said = ""
			log.Info("a file was changed, and is in force", "files", f.names)
			if changed != nil {
				changed()
			}
		}
	}
}

// load reads and parses. The stamps were taken before, so a change meanwhile is seen
// at the next look.
func (f *Files[T]) load(seen []stamp) (changed bool, err error) {
	f.stamps = seen
	defer func() {
		if err != nil {
			f.failed.Store(&err)
		} else {
			f.failed.Store(nil)
		}
	}()
	contents := make([][]byte, len(f.names))
	same := f.read != nil
	for i, name := range f.names {
		if contents[i], err = readFile(name); err != nil {
			return false, err
		}
		same = same && bytes.Equal(contents[i], f.read[i])
	}
	if same {
		return false, nil
	}
	v, err := f.parse(contents)
	if err != nil {
		return false, err
	}
	f.current.Store(&v)
	f.read = contents
	return true, nil
}

func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, MaxFile+1))
	if err == nil && len(raw) > MaxFile {
		err = fmt.Errorf("%s: %w", name, ErrTooLarge)
	}
	return raw, err
}

// stamp is what a file looks like from outside.
type stamp struct {
	info os.FileInfo // nil if there is none
	// fresh says that the file was written so lately that it may be written again
	// without looking any different.
	fresh bool
}

// grain is more than the step in which a file system's times go on.
const grain = 2 * time.Second

func (f *Files[T]) look() []stamp {
	seen := make([]stamp, len(f.names))
	for i, name := range f.names {
		if info, err := os.Stat(name); err == nil {
			age := time.Since(info.ModTime())
			seen[i] = stamp{info, age > -grain && age < grain}
		}
	}
	return seen
}

func (s stamp) same(before stamp) bool {
	if s.info == nil || before.info == nil {
		return s.info == nil && before.info == nil
	}
	return !before.fresh && os.SameFile(s.info, before.info) &&
		s.info.Size() == before.info.Size() && s.info.ModTime().Equal(before.info.ModTime())
}
