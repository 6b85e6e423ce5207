package linux

import (
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"syscall"
	"unsafe"
)

// How a path is resolved. Source: openat2(2).
const (
	resolveNoMagic    = 0x02
	resolveNoSymlinks = 0x04
	resolveBeneath    = 0x08
	resolveInRoot     = 0x10
)

// Root is an open folder that paths are resolved in as if it were "/": neither "..",
// nor an absolute symbolic link, nor a link of /proc leads out of it.
type Root struct{ *os.File }

// OpenRoot opens the folder at a path of the system. The caller closes it.
func OpenRoot(name string) (Root, error) {
	f, err := os.OpenFile(name, flagPath|syscall.O_DIRECTORY, 0)
	return Root{f}, err
}

func (r Root) openat2(name string, flags, mode, resolve uint64) (*os.File, error) {
	how := struct{ flags, mode, resolve uint64 }{flags | syscall.O_CLOEXEC, mode, resolve | resolveNoMagic}
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return nil, failed("open", name, err)
	}
	for {
		fd, err := call(sysOpenat2, r.Fd(), uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how))
		switch {
		case err == nil:
			return os.NewFile(fd, name), nil
		case err != syscall.EAGAIN: // something was renamed while ".." was looked at
			return nil, failed("open", name, err)
		}
	}
}

// Find opens what is at a path, for no more than to look at it or to mount there.
// Symbolic links are followed within the root.
func (r Root) Find(name string) (*os.File, error) {
	return r.openat2(name, flagPath, 0, resolveInRoot)
}

// FindPlain is Find, but no symbolic link is followed, nor is one found.
func (r Root) FindPlain(name string) (*os.File, error) {
	f, err := r.openat2(strings.TrimPrefix(name, "/"), flagPath|flagNoFollow, 0, resolveBeneath|resolveNoSymlinks)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || st.Mode()&os.ModeSymlink != 0 {
		f.Close()
		return nil, errors.Join(failed("open", name, syscall.ELOOP), err)
	}
	return f, nil
}

// PlainFolder opens the folder at a path on which there are no symbolic links; it is
// made if it is missing and what it lies in is there.
func (r Root) PlainFolder(name string, mode os.FileMode) (Root, error) {
	name = strings.TrimPrefix(name, "/")
	open := func() (*os.File, error) {
		return r.openat2(name, flagPath|syscall.O_DIRECTORY|flagNoFollow, 0, resolveBeneath|resolveNoSymlinks)
	}
	f, err := open()
	if !errors.Is(err, syscall.ENOENT) {
		return Root{f}, err
	}
	parent, err := r.openat2(orDot(path.Dir(name)), flagPath|syscall.O_DIRECTORY, 0, resolveBeneath|resolveNoSymlinks)
	if err != nil {
		return Root{}, err
	}
	defer parent.Close()
	if err := (Root{parent}).Mkdir(path.Base(name), mode); err != nil && !errors.Is(err, syscall.EEXIST) {
		return Root{}, err
	}
	f, err = open()
	return Root{f}, err
}

// Folder opens the folder at a path; what is missing of it is made.
func (r Root) Folder(name string, mode os.FileMode) (Root, error) {
	name = path.Clean("/" + name)
	open := func() (*os.File, error) {
		return r.openat2(name, flagPath|syscall.O_DIRECTORY, 0, resolveInRoot)
	}
	f, err := open()
	if !errors.Is(err, syscall.ENOENT) || name == "/" {
		return Root{f}, err
	}
	parent, err := r.Folder(path.Dir(name), mode)
	if err != nil {
		return Root{}, err
	}
	defer parent.Close()
	if err := parent.Mkdir(path.Base(name), mode); err != nil && !errors.Is(err, syscall.EEXIST) {
		return Root{}, err
	}
	f, err = open()
	return Root{f}, err
}

// Mkdir makes a folder in r itself.
func (r Root) Mkdir(name string, mode os.FileMode) error {
	return failed("mkdir", name, syscall.Mkdirat(int(r.Fd()), name, uint32(mode.Perm())))
}

// Symlink makes a symbolic link in r itself.
func (r Root) Symlink(target, name string) error {
	return withText(target, func(t uintptr) error {
		return withText(name, func(n uintptr) error {
			_, err := call(syscall.SYS_SYMLINKAT, t, r.Fd(), n)
			return failed("symlink", name, err)
		})
	})
}

// Replace makes a file with that content in r itself, in the place of whatever has
// the name, unless that is a folder. What a symbolic link leads to is not touched.
func (r Root) Replace(name string, content []byte, mode os.FileMode) error {
	if err := syscall.Unlinkat(int(r.Fd()), name); err != nil && err != syscall.ENOENT {
		return failed("replace", name, err)
	}
	f, err := r.openat2(name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL|flagNoFollow, uint64(mode.Perm()), resolveBeneath)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// Touch opens the file at a path to mount there, and makes an empty one, and the
// folders on the way, if nothing is there.
func (r Root) Touch(name string) (*os.File, error) {
	name = path.Clean("/" + name)
	f, err := r.Find(name)
	if !errors.Is(err, syscall.ENOENT) {
		return f, err
	}
	parent, err := r.Folder(path.Dir(name), 0o755)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	created, err := parent.openat2(path.Base(name), syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL|flagNoFollow, 0o644, resolveBeneath)
	if err != nil {
		return nil, err
	}
	created.Close()
	return r.Find(name)
}

// ReadFile returns what the regular file at a path has, of its first most bytes; a
// missing file has none. Nothing else than a regular file is waited for or read, and
// none of /proc or /sys: some of those lose what is read from them.
func (r Root) ReadFile(name string, most int64) ([]byte, error) {
	f, err := r.openat2(name, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0, resolveInRoot)
	if errors.Is(err, syscall.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	kind, err := FileSystem(f)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || kind == ProcFS || kind == SysFS {
		return nil, failed("read", name, errors.New("not a regular file"))
	}
	return io.ReadAll(io.LimitReader(f, most))
}

// OpenForWriting opens what is there at a path on which there are no symbolic links.
func (r Root) OpenForWriting(name string) (*os.File, error) {
	return r.openat2(name, syscall.O_WRONLY|syscall.O_NOCTTY, 0, resolveBeneath|resolveNoSymlinks)
}

// ReadFolder opens a folder, which is on no path with symbolic links, as those must
// who open what is in it after the root has changed.
func (r Root) ReadFolder(name string) (Root, error) {
	f, err := r.openat2(name, syscall.O_RDONLY|syscall.O_DIRECTORY, 0, resolveBeneath|resolveNoSymlinks)
	return Root{f}, err
}

func orDot(name string) string {
	if name == "" {
		return "."
	}
	return name
}
