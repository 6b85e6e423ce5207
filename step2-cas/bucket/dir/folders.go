package dir

import (
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"unsafe"
)

// folders is a set of paths.
type folders map[string]bool

// freshFolders are the folders made by this process whose own entry in the
// folder above may not be durable yet. A request that puts a file under one
// must sync that entry too, also if it was another request that made the folder.
type freshFolders struct {
	mu   sync.Mutex
	made map[string]uint64 // path to the number of its making
	next uint64
}

func (f *freshFolders) make(folder string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := os.Mkdir(folder, 0o755)
	if err == nil {
		if f.made == nil {
			f.made = map[string]uint64{}
		}
		f.next++
		f.made[folder] = f.next
	}
	return err
}

// parents adds to changed the folder above each fresh one from folder up to
// root.
func (f *freshFolders) parents(root, folder string, changed folders) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.made) == 0 {
		return
	}
	for ; strings.HasPrefix(folder, root+"/"); folder = path.Dir(folder) {
		if _, ok := f.made[folder]; ok {
			changed[path.Dir(folder)] = true
		}
	}
}

// snapshot returns the number of the last making; what was made up to then is
// covered by a sync that starts now.
func (f *freshFolders) snapshot() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next
}

// settled drops the folders made up to that number whose parent was synced.
func (f *freshFolders) settled(synced folders, made uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for folder, number := range f.made {
		if number <= made && synced[path.Dir(folder)] {
			delete(f.made, folder)
		}
	}
}

// remove removes a folder that is empty.
func (f *freshFolders) remove(folder string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := syscall.Rmdir(folder)
	if err == nil {
		delete(f.made, folder)
	}
	return err
}

// spread asks that the folders made in this one be put far apart on the disk.
// ext4 does not use an inode again in the first seconds after its file was
// deleted, and looks for a free one from the beginning of the folder's part of the
// disk: where links are replaced hundreds of times a second, it soon spends most
// of its time there. It is a hint, which other file systems do not take.
func spread(folder string) {
	const getFlags, setFlags, topOfHierarchy = 0x80086601, 0x40086602, 0x00020000
	f, err := os.Open(folder)
	if err != nil {
		return
	}
	defer f.Close()
	var flags uint32
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), getFlags, uintptr(unsafe.Pointer(&flags))); errno == 0 {
		flags |= topOfHierarchy
		syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), setFlags, uintptr(unsafe.Pointer(&flags)))
	}
}
