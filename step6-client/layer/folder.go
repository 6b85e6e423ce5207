package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// addFolder adds what is in a folder of this machine.
func (m *maker) addFolder(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return m.addAll(ctx, f, "")
}

// addAll adds what is in dir, whose path in the layer is at, "" or with a slash at
// its end.
func (m *maker) addAll(ctx context.Context, dir *os.File, at string) error {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return &Error{Entry: at, Err: err}
	}
	slices.Sort(names)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		st, err := lstatat(int(dir.Fd()), name)
		if err == nil {
			err = m.addNode(ctx, int(dir.Fd()), at+name, st)
		}
		if err != nil {
			return &Error{Entry: at + name, Err: err}
		}
		if st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
			if err := m.addBelow(ctx, dir, name, at); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *maker) addBelow(ctx context.Context, dir *os.File, name, at string) error {
	fd, err := openat(int(dir.Fd()), name, openFolder, 0)
	if err != nil {
		return &Error{Entry: at + name, Err: err}
	}
	below := os.NewFile(uintptr(fd), name)
	defer below.Close()
	return m.addAll(ctx, below, at+name+"/")
}

// addNode adds what is in dir under the last part of path.
func (m *maker) addNode(ctx context.Context, dir int, path string, st syscall.Stat_t) error {
	if _, err := cleanName(path, m.limits); err != nil {
		return err
	}
	_, base := split(path)
	if strings.HasPrefix(base, whiteoutPrefix) {
		return invalid("in a layer this name would remove a file of the layers below")
	}
	h := &tar.Header{
		Name: path, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid),
		ModTime: time.Unix(st.Mtim.Unix()),
	}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		return m.addFile(ctx, dir, base, h, st)
	case syscall.S_IFDIR:
		h.Typeflag, h.Name = tar.TypeDir, path+"/"
		return m.addOpened(ctx, dir, base, openFolder, h)
	case syscall.S_IFLNK:
		var err error
		if h.Linkname, err = readlinkat(dir, base); err != nil {
			return err
		}
		h.Typeflag = tar.TypeSymlink
	case syscall.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case syscall.S_IFCHR, syscall.S_IFBLK:
		if isWhiteout(st) {
			return invalid("a device that overlayfs would take for a whiteout")
		}
		device(h, st)
	default:
		m.options.Skipped(path, "a socket cannot be in a layer")
		return nil
	}
	return m.add(h, nil)
}

func device(h *tar.Header, st syscall.Stat_t) {
	h.Typeflag = tar.TypeChar
	if st.Mode&syscall.S_IFMT == syscall.S_IFBLK {
		h.Typeflag = tar.TypeBlock
	}
	n := uint64(st.Rdev)
	h.Devmajor = int64(n >> 8 & 0xfff)
	h.Devminor = int64(n&0xff | n>>12&0xfff00)
}

// addFile adds a file, or the link to the one of its names that came first.
func (m *maker) addFile(ctx context.Context, dir int, base string, h *tar.Header, st syscall.Stat_t) error {
	if st.Nlink > 1 {
		f := file{uint64(st.Dev), st.Ino}
		if first, ok := m.links[f]; ok {
			h.Typeflag, h.Linkname = tar.TypeLink, first
			return m.add(h, nil)
		}
		m.links[f] = h.Name
	}
	h.Typeflag, h.Size = tar.TypeReg, st.Size
	// What was a file a moment ago may be a pipe by now, which must not hold us up.
	return m.addOpened(ctx, dir, base, syscall.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, h)
}

// addOpened adds a file or a folder with its attributes.
func (m *maker) addOpened(ctx context.Context, dir int, base string, flags int, h *tar.Header) error {
	fd, err := openat(dir, base, flags, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	h.PAXRecords = map[string]string{}
	names, err := listxattr(fd)
	if err != nil {
		return err
	}
	for name := range bytes.SplitSeq(bytes.TrimRight(names, "\x00"), []byte{0}) {
		if !wanted(string(name)) {
			continue
		}
		value, err := getxattr(fd, string(name))
		if err != nil {
			return err
		}
		h.PAXRecords[xattrRecord+string(name)] = string(value)
	}
	return m.add(h, withContext(ctx, f))
}
