package linux

import (
	"os"
	"strings"
	"syscall"
	"unsafe"
)

// What a mount does not allow. Source: mount_setattr(2).
const (
	ReadOnly = 0x01
	NoSuid   = 0x02
	NoDev    = 0x04
	NoExec   = 0x08
)

const (
	fsopenCloexec  = 1
	fsmountCloexec = 1

	fsconfigFlag   = 0
	fsconfigString = 1
	fsconfigCreate = 6

	openTreeClone   = 1
	openTreeCloexec = syscall.O_CLOEXEC

	moveFromEmpty = 0x04
	moveToEmpty   = 0x40
)

// NewMount mounts a file system of that kind, not yet anywhere. Options are
// "name=value" or "name". Closing it before it is attached takes it away again.
func NewMount(kind string, attributes uintptr, options ...string) (*os.File, error) {
	var fs uintptr
	err := withText(kind, func(p uintptr) (err error) {
		fs, err = call(sysFsopen, p, fsopenCloexec)
		return err
	})
	if err != nil {
		return nil, failed("fsopen", kind, err)
	}
	defer syscall.Close(int(fs))
	for _, o := range options {
		if err := configure(fs, o); err != nil {
			return nil, failed("mount "+kind, o, err)
		}
	}
	if _, err := call(sysFsconfig, fs, fsconfigCreate); err != nil {
		return nil, failed("mount", kind, err)
	}
	fd, err := call(sysFsmount, fs, fsmountCloexec, attributes)
	if err != nil {
		return nil, failed("fsmount", kind, err)
	}
	return os.NewFile(fd, kind), nil
}

func configure(fs uintptr, option string) error {
	name, value, hasValue := strings.Cut(option, "=")
	return withText(name, func(n uintptr) error {
		if !hasValue {
			_, err := call(sysFsconfig, fs, fsconfigFlag, n)
			return err
		}
		return withText(value, func(v uintptr) error {
			_, err := call(sysFsconfig, fs, fsconfigString, n, v)
			return err
		})
	})
}

// Copy makes another mount of what is at a path of the system, with what is mounted
// below it, not yet anywhere.
func Copy(name string) (*os.File, error) {
	var fd uintptr
	err := withText(name, func(p uintptr) (err error) {
		fd, err = call(sysOpenTree, fdcwd(), p, openTreeClone|openTreeCloexec|atRecursive)
		return err
	})
	if err != nil {
		return nil, failed("open_tree", name, err)
	}
	return os.NewFile(fd, name), nil
}

// CopyOf makes another mount of an open file or folder, or of a mount, alone.
func CopyOf(f *os.File) (*os.File, error) {
	var fd uintptr
	err := withText("", func(p uintptr) (err error) {
		fd, err = call(sysOpenTree, f.Fd(), p, openTreeClone|openTreeCloexec|atEmptyPath)
		return err
	})
	if err != nil {
		return nil, failed("open_tree", f.Name(), err)
	}
	return os.NewFile(fd, f.Name()), nil
}

// Restrict takes away from a mount, and from those below it, what the attributes say.
func Restrict(mount *os.File, attributes uint64) error {
	return restrict(mount, attributes, atRecursive)
}

func restrict(mount *os.File, attributes uint64, flags uintptr) error {
	attr := struct{ set, clear, propagation, userns uint64 }{set: attributes}
	return withText("", func(p uintptr) error {
		_, err := call(sysMountSetattr, mount.Fd(), p, atEmptyPath|flags, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
		return failed("mount_setattr", mount.Name(), err)
	})
}

// RestrictAlone is Restrict without the mounts below.
func RestrictAlone(mount *os.File, attributes uint64) error {
	return restrict(mount, attributes, 0)
}

// Attach puts a mount onto an open file or folder.
func Attach(mount, at *os.File) error {
	return withText("", func(p uintptr) error {
		_, err := call(sysMoveMount, mount.Fd(), p, at.Fd(), p, moveFromEmpty|moveToEmpty)
		return failed("move_mount", at.Name(), err)
	})
}

// Overlay mounts folders over one another at target, without device files and
// setuid. All are relative to the folder from, which becomes the working directory of
// the process: the kernel takes no more than a page of options.
func Overlay(from, target string, lower []string, upper, work string, options ...string) error {
	options = append([]string{"lowerdir=" + strings.Join(lower, ":"), "upperdir=" + upper, "workdir=" + work}, options...)
	data := strings.Join(options, ",")
	if len(data) >= syscall.Getpagesize() {
		return failed("mount overlay", target, errTooManyLayers)
	}
	if err := os.Chdir(from); err != nil {
		return err
	}
	return failed("mount overlay", target, syscall.Mount("overlay", target, "overlay", syscall.MS_NODEV|syscall.MS_NOSUID, data))
}

const errTooManyLayers = tooManyLayers("more layers than an overlay takes")

type tooManyLayers string

func (e tooManyLayers) Error() string { return string(e) }

// PivotRoot makes the folder the root of all that have this one, and takes the old
// root away. The folder must be a mount.
func PivotRoot(root Root) error {
	if err := root.Chdir(); err != nil {
		return err
	}
	// The old root comes to lie over the new one, and is what "." leaves then.
	if err := syscall.PivotRoot(".", "."); err != nil {
		return failed("pivot_root", root.Name(), err)
	}
	if err := syscall.Unmount(".", syscall.MNT_DETACH); err != nil {
		return failed("umount", "the old root", err)
	}
	return os.Chdir("/")
}

// FileSystem tells what kind of file system a file is on, by the numbers of
// statfs(2).
func FileSystem(f *os.File) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, failed("fstatfs", f.Name(), err)
	}
	return int64(st.Type), nil
}

// Numbers of FileSystem.
const (
	ProcFS    = 0x9fa0
	SysFS     = 0x62656572
	OverlayFS = 0x794c7630
)

func fdcwd() uintptr {
	const at int = atFdcwd
	n := at
	return uintptr(n)
}
