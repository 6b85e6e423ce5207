package linux

import (
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

const (
	tiocgptn   = 0x80045430
	tiocsptlck = 0x40045431
)

func ioctl(f *os.File, request uintptr, argument unsafe.Pointer) error {
	_, err := call(syscall.SYS_IOCTL, f.Fd(), request, uintptr(argument))
	return err
}

// NewTerminal makes a terminal of the pts file system that is mounted at a folder:
// what its user sees and types, and the name of the file that programs use.
func NewTerminal(pts Root) (master *os.File, name string, err error) {
	master, err = pts.openat2("ptmx", syscall.O_RDWR|syscall.O_NOCTTY, 0, resolveBeneath|resolveNoSymlinks)
	if err != nil {
		return nil, "", err
	}
	var number, unlocked uint32
	if err := ioctl(master, tiocgptn, unsafe.Pointer(&number)); err != nil {
		master.Close()
		return nil, "", os.NewSyscallError("ioctl TIOCGPTN", err)
	}
	if err := ioctl(master, tiocsptlck, unsafe.Pointer(&unlocked)); err != nil {
		master.Close()
		return nil, "", os.NewSyscallError("ioctl TIOCSPTLCK", err)
	}
	return master, strconv.FormatUint(uint64(number), 10), nil
}

// OpenTerminal opens the terminal of that name, as a program does.
func OpenTerminal(pts Root, name string) (*os.File, error) {
	return pts.openat2(name, syscall.O_RDWR|syscall.O_NOCTTY, 0, resolveBeneath|resolveNoSymlinks)
}
