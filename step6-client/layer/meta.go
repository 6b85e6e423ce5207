package layer

import (
	"archive/tar"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// describe gives the open file or folder the owner, the mode, the attributes and
// the times of h. The order matters: to change the owner takes away setuid bits
// and capabilities.
func (u *unpacker) describe(fd int, h *tar.Header) error {
	err := u.chown(h, func(uid, gid int) error { return syscall.Fchown(fd, uid, gid) })
	if err != nil {
		return err
	}
	if err := syscall.Fchmod(fd, u.mode(h)); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	if err := u.setAttributes(fd, h); err != nil {
		return err
	}
	mtime := clampTime(h.ModTime)
	if err := utimes(fd, "", mtime, mtime); err != nil {
		return fmt.Errorf("setting the time: %w", err)
	}
	return nil
}

// describeAt is describe for what must not or cannot be opened: links, pipes and
// devices. They have no attributes that are unpacked.
func (u *unpacker) describeAt(parent int, base string, h *tar.Header) error {
	err := u.chown(h, func(uid, gid int) error {
		return syscall.Fchownat(parent, base, uid, gid, atSymlinkNofollow)
	})
	if err != nil {
		return err
	}
	if h.Typeflag != tar.TypeSymlink {
		if err := lchmodat(parent, base, u.mode(h)); err != nil {
			return fmt.Errorf("chmod: %w", err)
		}
	}
	mtime := clampTime(h.ModTime)
	if err := utimes(parent, base, mtime, mtime); err != nil {
		return fmt.Errorf("setting the time: %w", err)
	}
	return nil
}

// chown gives what change changes to the owner that h stands for on this machine.
func (u *unpacker) chown(h *tar.Header, change func(uid, gid int) error) error {
	if u.owner == nil {
		return nil
	}
	uid, gid, err := u.owner(h.Uid, h.Gid)
	if err != nil {
		return fmt.Errorf("owner %d:%d: %w", h.Uid, h.Gid, err)
	}
	if !isID(uid) || !isID(gid) {
		return fmt.Errorf("owner %d:%d is mapped to %d:%d: %w", h.Uid, h.Gid, uid, gid, syscall.EINVAL)
	}
	err = change(uid, gid)
	if err == syscall.EINVAL {
		err = fmt.Errorf("%w: %w", err, ErrOwner)
	}
	if err != nil {
		return fmt.Errorf("owner %d:%d, here %d:%d: %w", h.Uid, h.Gid, uid, gid, err)
	}
	return nil
}

// mode is the mode that h stands for. A folder that is the user's own stays usable
// to him, or neither could what lies in it be unpacked nor could it be removed.
func (u *unpacker) mode(h *tar.Header) uint32 {
	mode := uint32(h.Mode) & 0o7777
	if h.Typeflag == tar.TypeDir && u.owner == nil {
		mode |= 0o700
	}
	return mode
}

const xattrRecord = "SCHILY.xattr."

// wanted tells whether an extended attribute belongs to the image. Those of
// overlayfs never do: they would tell the host's to show other files. The others
// that the kernel gives a meaning to are the host's business.
func wanted(attribute string) bool {
	if attribute == "security.capability" {
		return true
	}
	return strings.HasPrefix(attribute, "user.") && !strings.HasPrefix(attribute, "user.overlay.") && len(attribute) <= maxComponent
}

func (u *unpacker) setAttributes(fd int, h *tar.Header) error {
	var names []string
	for key := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, xattrRecord); ok && wanted(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names) // so that what is skipped is told in a fixed order
	for _, name := range names {
		err := setxattr(fd, name, []byte(h.PAXRecords[xattrRecord+name]))
		switch err {
		case nil:
		case syscall.EPERM, syscall.ENOTSUP:
			u.skip(h.Name, "attribute "+name+": "+err.Error())
		case syscall.E2BIG, syscall.ERANGE, syscall.EINVAL:
			return invalid("attribute %.80q of %d bytes: %v", name, len(h.PAXRecords[xattrRecord+name]), err)
		default:
			return fmt.Errorf("attribute %s: %w", name, err)
		}
	}
	return nil
}

// The times that ext4 can hold. Another file system would keep others, or begin
// again at 1901.
const (
	earliest = -1 << 31
	latest   = 1<<34 - 1<<31 - 1
)

func clampTime(t time.Time) syscall.Timespec {
	s, ns := t.Unix(), t.Nanosecond()
	switch {
	case t.IsZero():
		s, ns = 0, 0
	case s < earliest:
		s, ns = earliest, 0
	case s > latest:
		s, ns = latest, 0
	}
	return syscall.Timespec{Sec: s, Nsec: int64(ns)}
}
