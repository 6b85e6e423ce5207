package dir

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// disk is how the bucket asks for things to be kept. What several requests ask
// for at the same time is kept by one syncfs(2) for all of them: on a file system
// with a journal that costs hardly more than the fsync of one file, and a push
// consists of dozens of small files and folders.
type disk struct {
	file   func(*os.File) error
	folder func(path string) error
	// all keeps the whole file system; nil if that cannot be done.
	all func() error

	asking  atomic.Int64  // requests that are in keep
	turn    chan struct{} // has room for one: the one that calls all
	mu      sync.Mutex
	waiting []*wish // of requests that want all to be called for them
}

// newDisk returns the disk that the file system of f is on.
func newDisk(f *os.File) *disk {
	return &disk{
		file:   (*os.File).Sync,
		folder: syncFolder,
		all:    func() error { return syncFileSystem(f) },
		turn:   make(chan struct{}, 1),
	}
}

// wish is what one request wants kept.
type wish struct {
	files   []*os.File
	folders []string
	granted bool // whoever has the turn may look, or write
	err     error
}

// fewThings is for how many files and folders a lone request uses fsync.
const fewThings = 2

// keep returns when the files and the folders are durable.
func (d *disk) keep(files []*os.File, folders []string) error {
	w := &wish{files: files, folders: folders}
	alone := d.asking.Add(1) == 1
	defer d.asking.Add(-1)
	if d.all == nil || alone && len(files)+len(folders) <= fewThings {
		return d.each(w)
	}
	d.mu.Lock()
	d.waiting = append(d.waiting, w)
	d.mu.Unlock()

	// Whoever gets the turn grants the wishes of all who have come by then; most
	// find, when it is their turn, that theirs has been.
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	if w.granted {
		return w.err
	}
	d.mu.Lock()
	batch := d.waiting
	d.waiting = nil
	d.mu.Unlock()
	err := d.all()
	for _, w := range batch {
		w.granted = true
		if err != nil {
			// Somebody's bytes were lost, perhaps another program's. A file that was open
			// all the time knows whether they were its own.
			w.err = d.each(w)
		}
	}
	return w.err
}

// each keeps one after the other.
func (d *disk) each(w *wish) error {
	for _, f := range w.files {
		if err := d.file(f); err != nil {
			return err
		}
	}
	for _, folder := range w.folders {
		err := d.folder(folder)
		var access *fs.PathError
		switch {
		case err == nil, errors.Is(err, fs.ErrNotExist):
			// One that another request pruned had nothing in it that was to be kept.
		case errors.As(err, &access) && access.Op == "open" && d.all != nil:
			// For want of descriptors, say. That tells nothing of the disk; asking it
			// for all takes none.
			return d.all()
		default:
			return err
		}
	}
	return nil
}

func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// syncFileSystem makes everything on the file system of f durable: syncfs(2).
func syncFileSystem(f *os.File) error {
	if _, _, errno := syscall.Syscall(sysSyncfs, f.Fd(), 0, 0); errno != 0 {
		return os.NewSyscallError("syncfs", errno)
	}
	return nil
}
