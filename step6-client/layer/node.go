package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// openNew makes a file and does not touch what was there.
const openNew = syscall.O_WRONLY | syscall.O_CREAT | syscall.O_EXCL | syscall.O_NOFOLLOW | syscall.O_CLOEXEC

// putNode puts what an entry describes into the folder parent, under the last part
// of name. What was there before gives way: the last of two entries counts.
func (u *unpacker) putNode(parent int, name string, h *tar.Header, body io.Reader) error {
	_, base := split(name)
	switch h.Typeflag {
	case tar.TypeDir:
		return u.putFolder(parent, base, h)
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		return u.putFile(parent, base, h, body)
	case tar.TypeLink:
		return u.putHardLink(parent, name, h)
	case tar.TypeSymlink:
		return u.putSymlink(parent, base, h)
	case tar.TypeFifo:
		return u.putSpecial(parent, base, h, syscall.S_IFIFO, 0)
	case tar.TypeChar, tar.TypeBlock:
		return u.putDevice(parent, base, h)
	}
	return invalid("entry of type %q", h.Typeflag)
}

// before is what had a name before an entry was put there.
type before int

const (
	nothing  before = iota
	aFolder         // it is still there
	replaced        // it was removed
)

// clear makes room for an entry. A folder stays if the entry is one.
func (u *unpacker) clear(parent int, base string, forFolder bool) (before, error) {
	st, err := lstatat(parent, base)
	if errors.Is(err, syscall.ENOENT) {
		return nothing, nil
	}
	if err != nil {
		return nothing, err
	}
	if forFolder && st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		return aFolder, nil
	}
	return replaced, u.tree.remove(parent, base, st)
}

func (u *unpacker) putFolder(parent int, base string, h *tar.Header) error {
	was, err := u.clear(parent, base, true)
	if err != nil {
		return err
	}
	if was != aFolder {
		if err := syscall.Mkdirat(parent, base, 0o700); err != nil {
			return err
		}
	}
	fd, err := openat(parent, base, openFolder, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := u.listed(fd, h, was != aFolder); err != nil {
		return err
	}
	if was == replaced {
		// By a whiteout, or by a file that hid the folder of the layers below.
		return u.makeOpaque(fd)
	}
	return nil
}

func (u *unpacker) putFile(parent int, base string, h *tar.Header, body io.Reader) error {
	if err := u.meter.fits(h.Size); err != nil {
		return err
	}
	if _, err := u.clear(parent, base, false); err != nil {
		return err
	}
	fd, err := openat(parent, base, openNew, 0o600)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := u.fill(fd, h, body); err != nil {
		return err
	}
	return u.describe(fd, h)
}

// fill writes the content of a file.
func (u *unpacker) fill(fd int, h *tar.Header, body io.Reader) error {
	write := writeAt
	if isSparse(h) {
		if err := syscall.Ftruncate(fd, h.Size); err != nil {
			return err
		}
		write = writeData
	}
	var size int64
	for {
		n, err := body.Read(u.buf)
		if over := u.meter.content(n); over != nil {
			return over
		}
		if err := write(fd, u.buf[:n], size); err != nil {
			return err
		}
		size += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if size != h.Size {
		return invalid("%d bytes of content, not %d", size, h.Size)
	}
	return nil
}

// writeData writes b without its zeros, page by page, so that holes stay holes.
func writeData(fd int, b []byte, offset int64) error {
	const page = 4096
	for len(b) > 0 {
		n := min(len(b), page-int(offset%page))
		if !isZero(b[:n]) {
			if err := writeAt(fd, b[:n], offset); err != nil {
				return err
			}
		}
		b, offset = b[n:], offset+int64(n)
	}
	return nil
}

func isZero(b []byte) bool { return bytes.Count(b, []byte{0}) == len(b) }

func writeAt(fd int, b []byte, offset int64) error {
	for len(b) > 0 {
		n, err := syscall.Pwrite(fd, b, offset)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("writing: %w", err)
		}
		b, offset = b[n:], offset+int64(n)
	}
	return nil
}

// putHardLink makes one more name for a file of the same layer. Its target is
// looked for without following any link: a link to the link /etc/shadow is what
// attacks want to have.
func (u *unpacker) putHardLink(parent int, name string, h *tar.Header) error {
	target, err := cleanName(h.Linkname, u.limits)
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", shorten(h.Linkname), err)
	}
	bad := invalid("hard link to %q, which is no file listed before", shorten(h.Linkname))
	if target == "" || target == name {
		return bad
	}
	dir, old := split(target)
	from, err := openIn(u.tree.root, dir, resolveNoSymlinks)
	if err != nil {
		return missing(err, bad)
	}
	defer syscall.Close(from)
	st, err := lstatat(from, old)
	if err != nil {
		return missing(err, bad)
	}
	if st.Mode&syscall.S_IFMT == syscall.S_IFDIR || isWhiteout(st) {
		return bad
	}
	_, base := split(name)
	if there, err := lstatat(parent, base); err == nil && there.Ino == st.Ino {
		return nil // the same link again; to remove it could remove the file
	}
	if _, err := u.clear(parent, base, false); err != nil {
		return err
	}
	return missing(linkat(from, old, parent, base), bad)
}

// missing returns otherwise for what the kernel says of a path that is not there.
func missing(err, otherwise error) error {
	switch err {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ELOOP:
		return otherwise
	}
	return err
}

func (u *unpacker) putSymlink(parent int, base string, h *tar.Header) error {
	if h.Linkname == "" || len(h.Linkname) > u.limits.Path {
		return invalid("symbolic link to %d bytes", len(h.Linkname))
	}
	if _, err := u.clear(parent, base, false); err != nil {
		return err
	}
	if err := symlinkat(h.Linkname, parent, base); err != nil {
		return err
	}
	return u.describeAt(parent, base, h)
}

// putDevice makes a device where that is wanted and permitted.
func (u *unpacker) putDevice(parent int, base string, h *tar.Header) error {
	major, minor := h.Devmajor, h.Devminor
	switch {
	case major < 0 || minor < 0 || major >= 1<<12 || minor >= 1<<20:
		return invalid("device %d:%d", major, minor)
	case h.Typeflag == tar.TypeChar && major == 0 && minor == 0:
		return invalid("a device that overlayfs would take for a whiteout")
	case !u.devices:
		u.skip(h.Name, "devices are not unpacked")
		return nil
	}
	kind := uint32(syscall.S_IFCHR)
	if h.Typeflag == tar.TypeBlock {
		kind = syscall.S_IFBLK
	}
	return u.putSpecial(parent, base, h, kind, int(minor&0xff|major<<8|(minor&^0xff)<<12))
}

func (u *unpacker) putSpecial(parent int, base string, h *tar.Header, kind uint32, device int) error {
	if _, err := u.clear(parent, base, false); err != nil {
		return err
	}
	err := syscall.Mknodat(parent, base, kind|0o600, device)
	if err == syscall.EPERM && kind != syscall.S_IFIFO {
		u.skip(h.Name, "this user may not make devices")
		return nil
	}
	if err != nil {
		return err
	}
	return u.describeAt(parent, base, h)
}
