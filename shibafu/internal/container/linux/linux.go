// Package linux has the system calls that a container needs and package syscall
// lacks, by the names of their manual pages. Mounts are made by the calls that came
// with Linux 5.2: a mount is made first and attached to a folder that is open, so
// that no path is resolved twice.
//
// files.go opens and makes files below a root that nothing leaves, mount.go mounts,
// process.go is about capabilities and other properties of a process, terminal.go
// about terminals.
package linux

import (
	"os"
	"syscall"
	"unsafe"
)

// Numbers that are the same on all architectures.
const (
	sysOpenTree     = 428
	sysMoveMount    = 429
	sysFsopen       = 430
	sysFsconfig     = 431
	sysFsmount      = 432
	sysCloseRange   = 436
	sysOpenat2      = 437
	sysMountSetattr = 442
)

const (
	atFdcwd      = -100
	atEmptyPath  = 0x1000
	atRecursive  = 0x8000
	flagPath     = 0x200000 // O_PATH
	flagNoFollow = syscall.O_NOFOLLOW
)

// call makes a system call again when a signal came between.
func call(nr uintptr, args ...uintptr) (uintptr, error) {
	var a [6]uintptr
	copy(a[:], args)
	for {
		r, _, errno := syscall.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		switch errno {
		case 0:
			return r, nil
		case syscall.EINTR:
		default:
			return r, errno
		}
	}
}

// withText calls f with the text as C has it.
func withText(s string, f func(p uintptr) error) error {
	p, err := syscall.BytePtrFromString(s)
	if err != nil {
		return err
	}
	return f(uintptr(unsafe.Pointer(p)))
}

// failed completes an error by what was tried.
func failed(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: path, Err: err}
}
