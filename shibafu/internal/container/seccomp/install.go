package seccomp

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

const (
	setModeFilter = 1 // SECCOMP_SET_MODE_FILTER
	allThreads    = 1 // SECCOMP_FILTER_FLAG_TSYNC
)

// ErrThread says that a thread has a filter of its own, so that there cannot be one
// for all.
var ErrThread = errors.New("a thread of this process is under another filter")

// Install puts all threads of this process, and all that they start, under the
// filter for ever. It takes effect at once, so it is the last thing before execve(2):
// mounts and namespaces are to be set up before.
//
// The caller has called prctl(PR_SET_NO_NEW_PRIVS, 1) on the same thread, with
// runtime.LockOSThread in force; that spreads to all threads together with the
// filter. It needs no other thread to do anything, so it is the same with cgo and
// without.
//
// Errors are ErrThread, or what the system says: EACCES to an ordinary user where
// no_new_privs is not set. After an error no thread has the filter.
func Install() error { return install(Filter(), allThreads) }

func install(program []syscall.SockFilter, flags uintptr) error {
	prog := syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	thread, _, errno := syscall.Syscall(sysSeccomp, setModeFilter, flags, uintptr(unsafe.Pointer(&prog)))
	switch {
	case errno == syscall.EACCES:
		return fmt.Errorf("%w: no_new_privs is not set on this thread", os.NewSyscallError("seccomp", errno))
	case errno != 0:
		return os.NewSyscallError("seccomp", errno)
	case thread != 0: // where it fails for all, the kernel names the first that is in the way
		return fmt.Errorf("seccomp: thread %d: %w", thread, ErrThread)
	}
	return nil
}
