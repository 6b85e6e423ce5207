package layer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
)

// tree is a folder that is being filled by names that strangers chose.
//
// The kernel resolves them, by openat2(2) with RESOLVE_IN_ROOT: the folder is "/"
// for absolute symbolic links, which images are full of and which os.Root refuses,
// and ".." ends there. A resolver of our own would have to look at each part and
// then use it, and whoever swaps the part in between gets out. So only folders are
// ever opened by a path; what lies in them is made, changed and removed by its
// name in the open folder, and no such call follows a link.
type tree struct {
	root int
	made func(fd int, opaque bool) error // told of each folder that is made for want of it
	// cur is the folder that was used last: entries mostly come folder by folder.
	cur   folder
	stale bool // the path of cur may lead elsewhere by now
}

// folder is an open folder. What happens in it changes its times, so they are put
// back when it is left: the time of a folder in the image stays, in whatever order
// the entries come, and nothing has to be remembered for the end.
type folder struct {
	fd   int // -1 for none
	path string
	was  syscall.Stat_t
}

func newTree(root int, made func(fd int, opaque bool) error) *tree {
	return &tree{root: root, made: made, cur: folder{fd: -1}}
}

// enter opens the folder at a clean path, through symbolic links where there are
// any, and makes it and those above where they are missing. It is closed by the
// next enter, or by leave.
func (t *tree) enter(path string) (int, error) {
	if t.cur.fd >= 0 && t.cur.path == path && !t.stale {
		return t.cur.fd, nil
	}
	if err := t.leave(); err != nil {
		return -1, err
	}
	fd, err := t.ensure(path, 0)
	if err != nil {
		return -1, err
	}
	st, err := fstat(fd)
	if err != nil {
		syscall.Close(fd)
		return -1, err
	}
	t.cur, t.stale = folder{fd, path, st}, false
	return fd, nil
}

// leave closes the folder that was entered last.
func (t *tree) leave() error {
	if t.cur.fd < 0 {
		return nil
	}
	err := restoreTimes(t.cur.fd, t.cur.was)
	syscall.Close(t.cur.fd)
	t.cur.fd = -1
	return err
}

// restoreTimes gives the folder fd the times that it had.
func restoreTimes(fd int, was syscall.Stat_t) error { return utimes(fd, "", was.Atim, was.Mtim) }

// maxLinks is how many symbolic links one path leads through; the kernel's number.
const maxLinks = 40

// ensure is enter without the memory. The path may hold "..", as links do.
func (t *tree) ensure(p string, links int) (int, error) {
	fd, err := t.open(p)
	if err == nil || err != syscall.ENOENT && err != syscall.ENOTDIR {
		return fd, err
	}
	dir, last := path.Split(strings.TrimRight(p, "/"))
	above, err := t.ensure(strings.TrimRight(dir, "/"), links)
	if err != nil {
		return -1, err
	}
	defer syscall.Close(above)
	if last != "." && last != ".." {
		link, err := t.makeFolder(above, last)
		if err != nil {
			return -1, err
		}
		if link != "" {
			// A link to what is not there yet. Its target is made inside the root.
			if links == maxLinks {
				return -1, syscall.ELOOP
			}
			if !strings.HasPrefix(link, "/") {
				link = dir + link
			}
			next, err := t.ensure(strings.TrimRight(link, "/"), links+1)
			if err != nil {
				return -1, err
			}
			syscall.Close(next)
		}
	}
	return t.open(p)
}

// open opens the folder at p. Where no link is on the way, the path tells how deep
// it lies; otherwise the kernel is asked.
func (t *tree) open(p string) (int, error) {
	fd, err := openIn(t.root, p, resolveNoSymlinks)
	if err != syscall.ELOOP {
		return fd, err
	}
	if fd, err = openIn(t.root, p, 0); err != nil {
		return fd, err
	}
	if err := t.checkDepth(fd); err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// checkDepth keeps links from stacking one deep path upon another, until nobody
// can remove them again.
func (t *tree) checkDepth(fd int) error {
	root, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(t.root))
	if err != nil {
		return err
	}
	name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return err
	}
	if depth := strings.Count(name, "/") - strings.Count(root, "/"); depth > deepest {
		return exceeds("a symbolic link leads %d folders deep", depth)
	}
	return nil
}

// deepest is for folders that are reached by a link. It is a constant, since it
// says what can be removed again, not what an image may hold.
const deepest = 512

// makeFolder makes a folder, or returns what the symbolic link says that has its
// name. A whiteout gives way.
func (t *tree) makeFolder(dir int, name string) (link string, err error) {
	was, err := fstat(dir)
	if err != nil {
		return "", err
	}
	opaque := false
	if err := syscall.Mkdirat(dir, name, 0o700); errors.Is(err, syscall.EEXIST) {
		st, err := lstatat(dir, name)
		switch {
		case err != nil:
			return "", err
		case st.Mode&syscall.S_IFMT == syscall.S_IFLNK:
			return readlinkat(dir, name)
		case !isWhiteout(st):
			return "", syscall.ENOTDIR
		}
		if err := unlinkat(dir, name, 0); err != nil {
			return "", err
		}
		opaque = true
		if err := syscall.Mkdirat(dir, name, 0o700); err != nil {
			return "", err
		}
	} else if err != nil {
		return "", err
	}
	fd, err := openat(dir, name, openFolder, 0)
	if err != nil {
		return "", err
	}
	defer syscall.Close(fd)
	if err := t.made(fd, opaque); err != nil {
		return "", err
	}
	return "", restoreTimes(dir, was)
}

// remove removes what is in dir under that name, with all that is in it. st
// describes it.
func (t *tree) remove(dir int, name string, st syscall.Stat_t) error {
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFLNK, syscall.S_IFDIR:
		t.stale = true
	}
	return removeAt(dir, name, st)
}

func removeAt(dir int, name string, st syscall.Stat_t) error {
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return unlinkat(dir, name, 0)
	}
	fd, err := openat(dir, name, openFolder, 0)
	if err != nil {
		return err
	}
	if err := emptyFolder(fd); err != nil {
		return err
	}
	return unlinkat(dir, name, atRemoveDir)
}

// emptyFolder removes all that is in the folder fd, and closes it.
func emptyFolder(fd int) error {
	return eachIn(fd, func(name string) error {
		st, err := lstatat(fd, name)
		if err != nil {
			return err
		}
		return removeAt(fd, name, st)
	})
}

// eachIn calls do with each name in the folder fd until there are no more, and
// closes it; do removes what it is called with. No more than some names are held
// at a time.
func eachIn(fd int, do func(name string) error) error {
	f := os.NewFile(uintptr(fd), "folder")
	defer f.Close()
	for fresh := true; ; {
		names, err := f.Readdirnames(1024)
		if err != nil && err != io.EOF {
			return fmt.Errorf("reading a folder: %w", err)
		}
		for _, name := range names {
			if err := do(name); err != nil {
				return err
			}
		}
		switch {
		case len(names) > 0:
			fresh = false
		case fresh:
			return nil
		default:
			// What a folder yields while it is changed is not certain, so it is read again.
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return err
			}
			fresh = true
		}
	}
}
