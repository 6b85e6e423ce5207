package audit

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"shibafu.dev/step7-security/internal/durable"
)

// What Options are where they are not set.
const (
	DefaultSize = 64 << 20
	DefaultKeep = 16
)

// Options say where the log is.
type Options struct {
	// File is the file that is written to. It is made with mode 0600; one that is there is
	// added to. What is no regular file, such as a terminal, is not rotated.
	File string
	// Size is how large the file may become, in bytes, and Keep how many old ones stay
	// beside it; 0 stands for the default.
	Size int64
	Keep int
	// Log is told, once, when events cannot be written, and when they can be again.
	Log *slog.Logger
}

// Log is an audit log. Its methods may be called at once from many goroutines. None of
// those that write fails or waits for a sync: the registry goes on without its audit log
// rather than not at all.
type Log struct {
	opts Options

	mu      sync.Mutex
	file    *os.File
	regular bool
	size    int64
	rotate  int64      // the size at which the file is replaced
	torn    bool       // the file ends in the middle of a line
	dirty   bool       // there is something to be synced
	old     []*os.File // replaced, and to be synced and closed
	closed  bool
	named   bool   // the file is new, and its folder to be synced
	lost    uint64 // since the last line
	unsaid  uint64
	writing trouble
	syncing trouble
	stats   Stats
}

// Stats are counts since the log was opened.
type Stats struct {
	// Written and Lost are events that were written, and those that could not be; Unsaid
	// are the refusals that were left out.
	Written, Lost, Unsaid uint64
	// Failing says that the last event, or the last sync, could not be written.
	Failing bool
}

// Open opens the log. The caller closes it.
func Open(o Options) (*Log, error) {
	o.Size, o.Keep = cmp.Or(o.Size, DefaultSize), cmp.Or(o.Keep, DefaultKeep)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Log{opts: o}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l, l.open()
}

// open opens the file, and finds out how it ends. mu is held.
func (l *Log) open() error {
	f, err := os.OpenFile(l.opts.File, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.regular, l.size, l.torn = f, info.Mode().IsRegular(), 0, false
	l.rotate, l.named = l.opts.Size, true
	if l.regular && info.Size() > 0 {
		l.size = info.Size()
		var last [1]byte
		_, err := f.ReadAt(last[:], l.size-1)
		l.torn = err != nil || last[0] != '\n'
	}
	return nil
}

// Write writes an event; its time is now if it has none.
func (l *Log) Write(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Lost, e.Unsaid = l.lost, l.unsaid
	line, err := e.line()
	if err == nil {
		err = l.add(line)
	}
	if err != nil {
		l.lost++
		l.stats.Lost++
	} else {
		l.lost, l.unsaid = 0, 0
		l.stats.Written++
	}
	l.writing.note(err, l.opts.Log, "the audit log cannot be written; what happens meanwhile is lost to it", "the audit log is written again")
}

// LeaveOut counts a refusal that is not written.
func (l *Log) LeaveOut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsaid++
	l.stats.Unsaid++
}

// Stats are the counts of now.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Failing = bool(l.writing || l.syncing)
	return l.stats
}

// add writes a line, in one piece. mu is held.
func (l *Log) add(line []byte) error {
	if l.closed {
		return os.ErrClosed
	}
	if l.regular && l.size > 0 && l.size+int64(len(line)) > l.rotate {
		l.replace()
	}
	if l.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	l.dirty = l.dirty || n > 0
	if n > 0 {
		l.torn = n < len(line)
	}
	return err
}

// trouble is whether something fails.
type trouble bool

// note says when something begins to fail, and when it succeeds again.
func (t *trouble) note(err error, log *slog.Logger, fails, succeeds string) {
	switch {
	case err != nil && !bool(*t):
		log.Error(fails, "cause", err)
	case err == nil && bool(*t):
		log.Info(succeeds)
	}
	*t = err != nil
}

// interval is how long an event may be unsynced.
const interval = time.Second

// Run makes durable what was written, each second, until ctx ends.
func (l *Log) Run(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.Sync()
		}
	}
}

// Sync makes durable what has been written. Events may be written meanwhile.
func (l *Log) Sync() error {
	l.mu.Lock()
	old, file := l.old, l.file
	dirty, named := l.dirty && l.regular && !l.closed, l.named && l.regular
	l.old, l.dirty, l.named = nil, false, false
	l.mu.Unlock()
	var errs []error
	for _, f := range old {
		errs = append(errs, f.Sync(), f.Close())
	}
	if dirty {
		errs = append(errs, file.Sync())
	}
	if named {
		errs = append(errs, durable.Sync(filepath.Dir(l.opts.File)))
	}
	err := errors.Join(errs...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.syncing.note(err, l.opts.Log, "the audit log cannot be synced", "the audit log is synced again")
	return err
}

// Close makes durable what was written, and ends the log. What is written later is lost.
func (l *Log) Close() error {
	err := l.Sync()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	l.closed = true
	return errors.Join(err, l.file.Close())
}
