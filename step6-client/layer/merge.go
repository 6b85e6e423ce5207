package layer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// merger moves what a layer unpacked to over what the layers below it came to.
// Both are folders of ours by now, in which no name is looked at as a path: that a
// layer has a folder where a lower one has a symbolic link replaces the link, as in
// an overlay.
type merger struct {
	marks    map[uint64]mark
	removals bool // whether there is anything to be removed at all
	chown    bool
}

// mergeFolder moves all from the folder over into the folder under, and makes the
// latter what the former says of it.
func (m *merger) mergeFolder(under, over int) error {
	was, err := fstat(under)
	if err != nil {
		return err
	}
	st, err := fstat(over)
	if err != nil {
		return err
	}
	known := m.marks[st.Ino]
	if known&opaque != 0 {
		fd, err := openat(under, ".", openFolder, 0)
		if err != nil {
			return err
		}
		if err := emptyFolder(fd); err != nil {
			return err
		}
	}
	fd, err := openat(over, ".", openFolder, 0)
	if err != nil {
		return err
	}
	if err := eachIn(fd, func(name string) error { return m.merge(under, over, name) }); err != nil {
		return err
	}
	if known&implicit != 0 {
		return restoreTimes(under, was)
	}
	return copyDescription(under, over, st, m.chown)
}

// merge moves what is in the folder over under that name.
func (m *merger) merge(under, over int, name string) error {
	st, err := lstatat(over, name)
	if err != nil {
		return err
	}
	below, err := lstatat(under, name)
	isThere := err == nil
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		return err
	}
	isFolder := st.Mode&syscall.S_IFMT == syscall.S_IFDIR
	if isFolder && isThere && below.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		return m.mergeInto(under, over, name)
	}
	if isThere {
		if err := removeAt(under, name, below); err != nil {
			return err
		}
	}
	if isWhiteout(st) {
		return unlinkat(over, name, 0)
	}
	if isFolder && m.removals {
		if err := m.settle(over, name); err != nil {
			return err
		}
	}
	return syscall.Renameat(over, name, under, name)
}

// mergeInto merges two folders of that name, and removes the one that is over.
func (m *merger) mergeInto(under, over int, name string) error {
	below, err := openat(under, name, openFolder, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(below)
	above, err := openat(over, name, openFolder, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(above)
	if err := m.mergeFolder(below, above); err != nil {
		return err
	}
	return unlinkat(over, name, atRemoveDir)
}

// settle removes the whiteouts in a folder that has nothing below it.
func (m *merger) settle(dir int, name string) error {
	fd, err := openat(dir, name, openFolder, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "folder")
	defer f.Close()
	was, err := fstat(fd)
	if err != nil {
		return err
	}
	for {
		names, err := f.Readdirnames(1024)
		for _, name := range names {
			if err := m.settleOne(fd, name); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return restoreTimes(fd, was)
		}
		if err != nil {
			return fmt.Errorf("reading a folder: %w", err)
		}
	}
}

func (m *merger) settleOne(dir int, name string) error {
	st, err := lstatat(dir, name)
	switch {
	case err != nil:
		return err
	case isWhiteout(st):
		return unlinkat(dir, name, 0)
	case st.Mode&syscall.S_IFMT == syscall.S_IFDIR:
		return m.settle(dir, name)
	}
	return nil
}

// copyDescription gives the folder under what st and the attributes say of the
// folder over; the owner only if chown is set.
func copyDescription(under, over int, st syscall.Stat_t, chown bool) error {
	if chown {
		if err := syscall.Fchown(under, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	if err := syscall.Fchmod(under, st.Mode&0o7777); err != nil {
		return err
	}
	if err := copyAttributes(under, over); err != nil {
		return err
	}
	return utimes(under, "", st.Atim, st.Mtim)
}

// copyAttributes makes the image's attributes of the folder under those of over.
func copyAttributes(under, over int) error {
	for i, fd := range []int{under, over} {
		names, err := listxattr(fd)
		if err != nil {
			return err
		}
		for name := range bytes.SplitSeq(bytes.TrimRight(names, "\x00"), []byte{0}) {
			if !wanted(string(name)) || !strings.HasPrefix(string(name), "user.") {
				continue
			}
			if i == 0 {
				err = removexattr(under, string(name))
			} else {
				err = copyAttribute(under, over, string(name))
			}
			if err != nil {
				return fmt.Errorf("attribute %s: %w", name, err)
			}
		}
	}
	return nil
}

func copyAttribute(under, over int, name string) error {
	value, err := getxattr(over, name)
	if err != nil {
		return err
	}
	return setxattr(under, name, value)
}
