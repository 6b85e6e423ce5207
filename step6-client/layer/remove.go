package layer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

const (
	resolveNoCrossing = 0x01 // RESOLVE_NO_XDEV
	resolveBeneath    = 0x08
)

// Remove removes an unpacked tree, or what a container made of one: also folders
// that their owner may not enter, which os.RemoveAll leaves to an ordinary user, and
// trees of any depth. It follows no symbolic link and goes into nothing that is
// mounted in the tree, but fails there. It is no error if nothing is at folder.
//
// Whoever owns what is in it can remove it; in a user namespace that is its root, for
// what belongs to the namespace's users. After an error part of it may be gone.
func Remove(folder string) error {
	err := remove(filepath.Clean(folder))
	if err == nil || errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return &os.PathError{Op: "remove", Path: folder, Err: err}
}

func remove(folder string) error {
	name := filepath.Base(folder)
	if name == "." || name == ".." || name == "/" {
		return syscall.EINVAL
	}
	parent, err := os.Open(filepath.Dir(folder))
	if err != nil {
		return err
	}
	defer parent.Close()
	top, err := openToRemove(int(parent.Fd()), name)
	if err != nil {
		return err
	}
	defer syscall.Close(top)
	r := remover{top: top}
	return r.folder(int(parent.Fd()), name, 0)
}

// remover removes a tree with few open folders, however deep it is: what lies deeper
// is moved up into the top, and comes up there again.
type remover struct {
	top   int
	moved int
}

// heldFolders is how many folders are open at a time, each in one above it.
const heldFolders = 64

// folder removes a folder and all that is in it.
func (r *remover) folder(parent int, name string, depth int) error {
	fd, err := openToRemove(parent, name)
	if err != nil {
		return err
	}
	if err := eachIn(fd, func(name string) error { return r.one(fd, name, depth+1) }); err != nil {
		return err
	}
	return named(name, unlinkat(parent, name, atRemoveDir))
}

func (r *remover) one(dir int, name string, depth int) error {
	st, err := lstatat(dir, name)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return nil // somebody else was quicker
	case err != nil:
		return named(name, err)
	case st.Mode&syscall.S_IFMT != syscall.S_IFDIR:
		return named(name, unlinkat(dir, name, 0))
	case depth > heldFolders:
		return named(name, r.moveUp(dir, name))
	}
	return r.folder(dir, name, depth)
}

// moveUp moves a folder into the top, under a name that is free there.
func (r *remover) moveUp(dir int, name string) error {
	fd, err := openToRemove(dir, name) // who moves a folder must be able to write to it
	if err != nil {
		return err
	}
	syscall.Close(fd)
	for {
		r.moved++
		err := syscall.Renameat(dir, name, r.top, ".moved-"+strconv.Itoa(r.moved))
		switch {
		case errors.Is(err, syscall.EEXIST), errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, syscall.ENOTDIR):
			continue // the image has something of that name
		}
		return err
	}
}

// openToRemove opens the folder in dir of that name, having given its owner the
// right to do so and to remove what is in it.
func openToRemove(dir int, name string) (int, error) {
	const flags = syscall.O_DIRECTORY | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	fd, err := openHere(dir, name, openPath|flags)
	if err != nil {
		return -1, named(name, err)
	}
	defer syscall.Close(fd)
	st, err := fstat(fd)
	if err != nil {
		return -1, named(name, err)
	}
	self := "/proc/self/fd/" + strconv.Itoa(fd)
	if st.Mode&0o700 != 0o700 {
		if err := syscall.Chmod(self, 0o700); err != nil && !errors.Is(err, syscall.EPERM) {
			return -1, named(name, err)
		}
	}
	opened, err := openHere(fd, ".", syscall.O_RDONLY|flags)
	return opened, named(name, err)
}

// openHere opens what is in dir under that name if it is on the same mount.
func openHere(dir int, name string, flags uint64) (int, error) {
	fd, err := openat2(dir, name, flags, resolveBeneath|resolveNoSymlinks|resolveNoCrossing)
	switch err {
	case syscall.EXDEV:
		return -1, fmt.Errorf("something is mounted there: %w", syscall.EBUSY)
	case syscall.ELOOP:
		return -1, syscall.ENOTDIR
	}
	return fd, err
}

// named says what an error is about.
func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%q: %w", shorten(name), err)
}
