package linux

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"unsafe"
)

// Capability is one of capabilities(7), by its number.
type Capability uint

// Those that are spoken of here.
const (
	Chown          Capability = 0
	DacOverride    Capability = 1
	Fowner         Capability = 3
	Fsetid         Capability = 4
	Kill           Capability = 5
	Setgid         Capability = 6
	Setuid         Capability = 7
	Setpcap        Capability = 8
	NetBindService Capability = 10
	SysChroot      Capability = 18
	SysAdmin       Capability = 21
	Setfcap        Capability = 31
)

const (
	prSetDumpable       = 4
	prCapbsetDrop       = 24
	prSetNoNewPrivs     = 38
	prSetName           = 15
	prCapAmbient        = 47
	prCapAmbientClear   = 4
	capabilityVersion3  = 0x20080522
	closeRangeCloexec   = 4
	memfdCloexec        = 1
	memfdAllowSealing   = 2
	memfdExec           = 0x10
	fAddSeals           = 1033
	sealSeal            = 1
	sealShrink          = 2
	sealGrow            = 4
	sealWrite           = 8
	mostCapabilities    = 64
	highestFileCanBe    = ^uint32(0)
	firstBeyondStandard = 3
)

type capHeader struct {
	version uint32
	pid     int32
}

// capSets is what capset(2) takes: the lower halves of all three, then the upper.
type capSets [2]struct{ effective, permitted, inheritable uint32 }

// HasCapability tells whether the calling thread has it in force.
func HasCapability(c Capability) (bool, error) {
	h, sets := capHeader{version: capabilityVersion3}, capSets{}
	if _, err := call(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&h)), uintptr(unsafe.Pointer(&sets))); err != nil {
		return false, os.NewSyscallError("capget", err)
	}
	return sets[c/32].effective&(1<<(c%32)) != 0, nil
}

// KeepCapabilities takes from the calling thread all capabilities but those, for
// good: none can be inherited, and none is gained by executing a program.
func KeepCapabilities(keep ...Capability) error {
	var set uint64
	for _, c := range keep {
		set |= 1 << c
	}
	for c := range Capability(mostCapabilities) {
		if set&(1<<c) != 0 {
			continue
		}
		switch _, err := call(syscall.SYS_PRCTL, prCapbsetDrop, uintptr(c)); err {
		case nil, syscall.EINVAL: // the latter: the kernel has no such capability
		default:
			return os.NewSyscallError("prctl PR_CAPBSET_DROP", err)
		}
	}
	if _, err := call(syscall.SYS_PRCTL, prCapAmbient, prCapAmbientClear); err != nil {
		return os.NewSyscallError("prctl PR_CAP_AMBIENT", err)
	}
	h, sets := capHeader{version: capabilityVersion3}, capSets{}
	for i := range sets {
		half := uint32(set >> (32 * i))
		sets[i].effective, sets[i].permitted = half, half
	}
	_, err := call(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&h)), uintptr(unsafe.Pointer(&sets)))
	return os.NewSyscallError("capset", err)
}

// NoNewPrivileges has the calling thread, and what it executes, never gain anything
// from setuid programs and the like.
func NoNewPrivileges() error {
	_, err := call(syscall.SYS_PRCTL, prSetNoNewPrivs, 1)
	return os.NewSyscallError("prctl PR_SET_NO_NEW_PRIVS", err)
}

// NewKeyring gives the calling thread, and what it starts, a session keyring without
// the keys of whoever started it. A kernel without keys, and a user who has no more to
// make, are no error: keyctl(2) is refused to a container anyway.
func NewKeyring() error {
	const joinSession = 1
	switch _, err := call(sysKeyctl, joinSession, 0); err {
	case nil, syscall.ENOSYS, syscall.EDQUOT:
		return nil
	default:
		return os.NewSyscallError("keyctl", err)
	}
}

// SetName is what ps(1) calls the calling thread: up to 15 bytes.
func SetName(name string) error {
	return withText(name, func(p uintptr) error {
		_, err := call(syscall.SYS_PRCTL, prSetName, p)
		return os.NewSyscallError("prctl PR_SET_NAME", err)
	})
}

// NotDumpable closes the process to those who would look into it by way of /proc or
// ptrace(2).
func NotDumpable() error {
	_, err := call(syscall.SYS_PRCTL, prSetDumpable, 0)
	return os.NewSyscallError("prctl PR_SET_DUMPABLE", err)
}

// CloseOnExec has all files but the standard ones closed when a program is executed.
func CloseOnExec() error {
	_, err := call(sysCloseRange, firstBeyondStandard, uintptr(highestFileCanBe), closeRangeCloexec)
	return os.NewSyscallError("close_range", err)
}

// Sealed returns a file in memory that fill has written, and that nobody can change
// any more.
func Sealed(name string, fill func(*os.File) error) (*os.File, error) {
	f, err := newMemory(name)
	if err != nil {
		return nil, err
	}
	if err := fill(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := call(syscall.SYS_FCNTL, f.Fd(), fAddSeals, sealSeal|sealShrink|sealGrow|sealWrite); err != nil {
		return nil, errors.Join(fmt.Errorf("sealing %s: %w", name, err), f.Close())
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func newMemory(name string) (*os.File, error) {
	var fd uintptr
	create := func(flags uintptr) error {
		return withText(name, func(p uintptr) (err error) {
			fd, err = call(sysMemfdCreate, p, flags)
			return err
		})
	}
	err := create(memfdCloexec | memfdAllowSealing | memfdExec)
	if err == syscall.EINVAL { // before Linux 6.3 there was no need to say that it is a program
		err = create(memfdCloexec | memfdAllowSealing)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(fd, name), nil
}

// CopyWhole copies a file, from its start.
func CopyWhole(to, from *os.File) error {
	st, err := from.Stat()
	if err != nil {
		return err
	}
	// One large write of what is mapped takes half the time that the kernel's own ways of
	// copying take, page by page.
	content, err := syscall.Mmap(int(from.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_SHARED|syscall.MAP_POPULATE)
	if err != nil {
		return failed("mmap", from.Name(), err)
	}
	_, err = to.Write(content)
	return errors.Join(err, syscall.Munmap(content))
}

// LoopbackUp switches on the interface lo of the network namespace.
func LoopbackUp() error {
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer syscall.Close(s)
	var request struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	request.flags = syscall.IFF_UP | syscall.IFF_RUNNING
	_, err = call(syscall.SYS_IOCTL, uintptr(s), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request)))
	return os.NewSyscallError("ioctl SIOCSIFFLAGS", err)
}
