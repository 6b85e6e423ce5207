package layer

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// What a layer removes is kept in the way of overlayfs, also while it is on its way
// into a flat tree. A file is hidden by a character device 0:0 of its name; since
// Linux 5.8 everybody may make one, in a user namespace too, so the newer
// user.overlay.whiteout, which costs an attribute a file and is looked for only in
// folders marked for it, is not needed. A folder hides what is below it by an
// attribute: trusted.overlay.opaque, or, where nobody may set that,
// user.overlay.opaque, which overlayfs reads if mounted with userxattr.
//
// Where a folder has nothing below it, overlayfs lists it as it stands, whiteouts
// and all, as names that cannot be opened; unless the folder has an attribute
// "origin", as those have that it wrote itself.
//
// Source: the kernel's Documentation/filesystems/overlayfs.rst, "whiteouts and
// opaque directories" and "User xattr".
const (
	overlayTrusted = "trusted.overlay."
	overlayUser    = "user.overlay."
)

func isWhiteout(st syscall.Stat_t) bool {
	return st.Mode&syscall.S_IFMT == syscall.S_IFCHR && st.Rdev == 0
}

// hide hides what the lower layers have under that name. What this layer has there
// stays, whichever was listed first.
func (u *unpacker) hide(parent int, name string) error {
	u.removals = true
	st, err := lstatat(parent, name)
	switch {
	case errors.Is(err, syscall.ENOENT):
		if err := syscall.Mknodat(parent, name, syscall.S_IFCHR, 0); err != nil {
			return err
		}
		return u.tell(parent, "origin", "")
	case err != nil:
		return err
	case st.Mode&syscall.S_IFMT != syscall.S_IFDIR:
		return nil
	}
	fd, err := openat(parent, name, openFolder, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return u.makeOpaque(fd)
}

// hideAll hides what the lower layers have in the folder that was entered.
func (u *unpacker) hideAll(parent int) error {
	u.removals = true
	return u.makeOpaque(parent)
}

func (u *unpacker) makeOpaque(fd int) error {
	u.removals = true
	if err := u.mark(fd, func(m mark) mark { return m | opaque }); err != nil {
		return err
	}
	return u.tell(fd, "opaque", "y")
}

// tell tells overlayfs something about the folder fd.
func (u *unpacker) tell(fd int, what, value string) error {
	if u.overlay == "" {
		return nil
	}
	if err := setxattr(fd, u.overlay+what, []byte(value)); err != nil {
		return fmt.Errorf("setting %s%s: %w", u.overlay, what, err)
	}
	return nil
}

// Opaque tells whether the layer that was unpacked into that folder hides all that
// the layers below it have. overlayfs does not look at the root of a layer for
// this, so whoever mounts leaves the lower ones out.
func Opaque(folder string) (bool, error) {
	f, err := os.Open(folder)
	if err != nil {
		return false, err
	}
	defer f.Close()
	hides, err := isOpaque(int(f.Fd()))
	if err != nil {
		return false, &os.PathError{Op: "getxattr", Path: folder, Err: err}
	}
	return hides, nil
}

// isOpaque tells whether a folder hides what the layers below have in it.
func isOpaque(fd int) (bool, error) {
	for _, name := range []string{overlayTrusted, overlayUser} {
		value, err := getxattr(fd, name+"opaque")
		if err != nil || string(value) == "y" {
			return err == nil, err
		}
	}
	return false, nil
}
