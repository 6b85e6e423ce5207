package layer

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

// The system calls that work on an open folder or an open file, by the names of
// their manual pages. What the syscall package lacks is called by number.
const (
	sysOpenat2        = 437 // on every architecture
	resolveNoMagic    = 0x02
	resolveNoSymlinks = 0x04
	resolveInRoot     = 0x10
	openPath          = 0x200000 // O_PATH
	atSymlinkNofollow = 0x100
	atRemoveDir       = 0x200

	openFolder = syscall.O_RDONLY | syscall.O_DIRECTORY | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
)

// retry calls f again when a signal came between.
func retry(f func() error) error {
	for {
		if err := f(); err != syscall.EINTR {
			return err
		}
	}
}

// openIn opens a folder by a path that is resolved as if root were "/": neither
// "..", nor an absolute symbolic link, nor a link of /proc leads out of it.
func openIn(root int, path string, resolve uint64) (fd int, err error) {
	return openat2(root, orDot(path), syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, resolveInRoot|resolveNoMagic|resolve)
}

func openat2(dir int, path string, flags, resolve uint64) (fd int, err error) {
	how := struct{ flags, mode, resolve uint64 }{flags, 0, resolve}
	p, err := syscall.BytePtrFromString(path)
	if err != nil {
		return -1, err
	}
	for {
		n, _, errno := syscall.Syscall6(sysOpenat2, uintptr(dir), uintptr(unsafe.Pointer(p)),
			uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR, syscall.EAGAIN: // the latter: something was renamed while ".." was looked at
		default:
			return -1, errno
		}
	}
}

func orDot(path string) string {
	if path == "" {
		return "."
	}
	return path
}

// openat opens what is in dir under that name, which has no slash. All flags that
// are passed have O_NOFOLLOW.
func openat(dir int, name string, flags int, mode uint32) (fd int, err error) {
	err = retry(func() (err error) {
		fd, err = syscall.Openat(dir, name, flags, mode)
		return err
	})
	return fd, err
}

func fstat(fd int) (st syscall.Stat_t, err error) {
	err = syscall.Fstat(fd, &st)
	return st, err
}

// lstatat describes what is in dir under that name, not what it points to.
func lstatat(dir int, name string) (st syscall.Stat_t, err error) {
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return st, err
	}
	if _, _, errno := syscall.Syscall6(sysFstatat, uintptr(dir), uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&st)), atSymlinkNofollow, 0, 0); errno != 0 {
		return st, errno
	}
	return st, nil
}

func readlinkat(dir int, name string) (string, error) {
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return "", err
	}
	buf := make([]byte, 4096)
	n, _, errno := syscall.Syscall6(syscall.SYS_READLINKAT, uintptr(dir), uintptr(unsafe.Pointer(p)),
		uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
	if errno != 0 {
		return "", errno
	}
	return string(buf[:n]), nil
}

// twoPaths is for the calls that take two names, each with a folder or none (-1).
func twoPaths(call uintptr, dir1 int, name1 string, dir2 int, name2 string) error {
	p1, err := syscall.BytePtrFromString(name1)
	if err != nil {
		return err
	}
	p2, err := syscall.BytePtrFromString(name2)
	if err != nil {
		return err
	}
	var errno syscall.Errno
	if call == syscall.SYS_SYMLINKAT {
		_, _, errno = syscall.Syscall(call, uintptr(unsafe.Pointer(p1)), uintptr(dir2), uintptr(unsafe.Pointer(p2)))
	} else {
		_, _, errno = syscall.Syscall6(call, uintptr(dir1), uintptr(unsafe.Pointer(p1)), uintptr(dir2), uintptr(unsafe.Pointer(p2)), 0, 0)
	}
	if errno != 0 {
		return errno
	}
	return nil
}

func symlinkat(to string, dir int, name string) error {
	return twoPaths(syscall.SYS_SYMLINKAT, -1, to, dir, name)
}

// linkat does not follow the old name: a link to a symbolic link is that.
func linkat(oldDir int, old string, dir int, name string) error {
	return twoPaths(syscall.SYS_LINKAT, oldDir, old, dir, name)
}

func unlinkat(dir int, name string, flags int) error {
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_UNLINKAT, uintptr(dir), uintptr(unsafe.Pointer(p)), uintptr(flags)); errno != 0 {
		return errno
	}
	return nil
}

// utimes sets the times of what is in dir under that name, not of what it points
// to; of dir itself if name is "".
func utimes(dir int, name string, atime, mtime syscall.Timespec) error {
	times := [2]syscall.Timespec{atime, mtime}
	var p *byte
	flags := 0
	if name != "" {
		var err error
		if p, err = syscall.BytePtrFromString(name); err != nil {
			return err
		}
		flags = atSymlinkNofollow
	}
	if _, _, errno := syscall.Syscall6(syscall.SYS_UTIMENSAT, uintptr(dir), uintptr(unsafe.Pointer(p)),
		uintptr(unsafe.Pointer(&times)), uintptr(flags), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// lchmodat changes the mode of what is in dir under that name. A pipe or a device
// must not be opened for it, so it goes by a descriptor that only names it.
func lchmodat(dir int, name string, mode uint32) error {
	fd, err := openat(dir, name, openPath|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return syscall.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode)
}

func setxattr(fd int, name string, value []byte) error {
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if _, _, errno := syscall.Syscall6(syscall.SYS_FSETXATTR, uintptr(fd), uintptr(unsafe.Pointer(p)),
		uintptr(unsafe.Pointer(unsafe.SliceData(value))), uintptr(len(value)), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func removexattr(fd int, name string) error {
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_FREMOVEXATTR, uintptr(fd), uintptr(unsafe.Pointer(p)), 0); errno != 0 {
		return errno
	}
	return nil
}

// getxattr returns nil where there is no such attribute.
func getxattr(fd int, name string) ([]byte, error) {
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return nil, err
	}
	value, err := grown(func(buf []byte) (uintptr, syscall.Errno) {
		n, _, errno := syscall.Syscall6(syscall.SYS_FGETXATTR, uintptr(fd), uintptr(unsafe.Pointer(p)),
			uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), 0, 0)
		return n, errno
	})
	if errors.Is(err, syscall.ENODATA) || errors.Is(err, syscall.ENOTSUP) {
		return nil, nil
	}
	return value, err
}

// listxattr returns the names of the attributes, each with a NUL behind it.
func listxattr(fd int) ([]byte, error) {
	names, err := grown(func(buf []byte) (uintptr, syscall.Errno) {
		n, _, errno := syscall.Syscall(syscall.SYS_FLISTXATTR, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)))
		return n, errno
	})
	if errors.Is(err, syscall.ENOTSUP) {
		return nil, nil
	}
	return names, err
}

// grown calls get with buffers that grow until the answer fits. An empty answer
// is not nil.
func grown(get func([]byte) (uintptr, syscall.Errno)) ([]byte, error) {
	for size := 256; ; size *= 16 {
		buf := make([]byte, size)
		n, errno := get(buf)
		switch {
		case errno == 0:
			return buf[:n], nil
		case errno != syscall.ERANGE || size > 1<<20:
			return nil, errno
		}
	}
}

// syncFileSystem makes durable all that was written to the file system of f.
func syncFileSystem(f *os.File) error {
	if _, _, errno := syscall.Syscall(sysSyncfs, f.Fd(), 0, 0); errno != 0 {
		return os.NewSyscallError("syncfs", errno)
	}
	return nil
}
