package linux

import (
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

// Size is that of a terminal, in characters and pixels, as the kernel has it.
type Size struct{ Rows, Columns, Width, Height uint16 }

const (
	tiocgptn   = 0x80045430
	tiocsptlck = 0x40045431
)

func ioctl(f *os.File, request uintptr, argument unsafe.Pointer) error {
	_, err := call(syscall.SYS_IOCTL, f.Fd(), request, uintptr(argument))
	return err
}

// TerminalSize returns the size of a terminal.
func TerminalSize(f *os.File) (s Size, err error) {
	err = ioctl(f, syscall.TIOCGWINSZ, unsafe.Pointer(&s))
	return s, os.NewSyscallError("ioctl TIOCGWINSZ", err)
}

// SetTerminalSize sets it, which its programs are told of.
func SetTerminalSize(f *os.File, s Size) error {
	return os.NewSyscallError("ioctl TIOCSWINSZ", ioctl(f, syscall.TIOCSWINSZ, unsafe.Pointer(&s)))
}

// Raw has a terminal pass on every key as it is. restore makes it what it was.
func Raw(f *os.File) (restore func(), err error) {
	var was syscall.Termios
	if err := ioctl(f, syscall.TCGETS, unsafe.Pointer(&was)); err != nil {
		return nil, os.NewSyscallError("ioctl TCGETS", err)
	}
	raw := was
	raw.Iflag &^= syscall.IGNBRK | syscall.BRKINT | syscall.PARMRK | syscall.ISTRIP | syscall.INLCR | syscall.IGNCR | syscall.ICRNL | syscall.IXON
	raw.Oflag &^= syscall.OPOST
	raw.Lflag &^= syscall.ECHO | syscall.ECHONL | syscall.ICANON | syscall.ISIG | syscall.IEXTEN
	raw.Cflag = raw.Cflag&^(syscall.CSIZE|syscall.PARENB) | syscall.CS8
	raw.Cc[syscall.VMIN], raw.Cc[syscall.VTIME] = 1, 0
	if err := ioctl(f, syscall.TCSETS, unsafe.Pointer(&raw)); err != nil {
		return nil, os.NewSyscallError("ioctl TCSETS", err)
	}
	return func() { _ = ioctl(f, syscall.TCSETS, unsafe.Pointer(&was)) }, nil
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
