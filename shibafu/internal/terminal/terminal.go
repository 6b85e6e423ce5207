// Package terminal asks the system about a terminal.
//
// Source: Linux, ioctl_tty(2), termios(3).
package terminal

import (
	"os"
	"syscall"
	"unsafe"
)

// Of returns the file that v is if that is a terminal, else nil.
func Of(v any) *os.File {
	f, ok := v.(*os.File)
	if !ok || f == nil {
		return nil
	}
	if _, err := attributes(f); err != nil {
		return nil
	}
	return f
}

// Size is how many columns and rows a terminal has; 0 where it does not say.
func Size(f *os.File) (columns, rows int) {
	var size struct{ rows, columns, x, y uint16 }
	if err := ioctl(f, syscall.TIOCGWINSZ, unsafe.Pointer(&size)); err != nil {
		return 0, 0
	}
	return int(size.columns), int(size.rows)
}

// SetSize sets it; the programs that use the terminal are told.
func SetSize(f *os.File, columns, rows int) error {
	size := struct{ rows, columns, x, y uint16 }{rows: uint16(rows), columns: uint16(columns)}
	return ioctl(f, syscall.TIOCSWINSZ, unsafe.Pointer(&size))
}

// Raw has a terminal pass on every key as it is, until restore is called.
func Raw(f *os.File) (restore func(), err error) {
	before, err := attributes(f)
	if err != nil {
		return nil, err
	}
	raw := *before
	raw.Iflag &^= syscall.IGNBRK | syscall.BRKINT | syscall.PARMRK | syscall.ISTRIP | syscall.INLCR | syscall.IGNCR | syscall.ICRNL | syscall.IXON
	raw.Oflag &^= syscall.OPOST
	raw.Lflag &^= syscall.ECHO | syscall.ECHONL | syscall.ICANON | syscall.ISIG | syscall.IEXTEN
	raw.Cflag = raw.Cflag&^(syscall.CSIZE|syscall.PARENB) | syscall.CS8
	raw.Cc[syscall.VMIN], raw.Cc[syscall.VTIME] = 1, 0
	if err := ioctl(f, syscall.TCSETS, unsafe.Pointer(&raw)); err != nil {
		return nil, err
	}
	return func() { ioctl(f, syscall.TCSETS, unsafe.Pointer(before)) }, nil
}

// Hush stops a terminal from showing what is typed, until restore is called.
func Hush(f *os.File) (restore func(), err error) {
	before, err := attributes(f)
	if err != nil {
		return nil, err
	}
	hushed := *before
	hushed.Lflag &^= syscall.ECHO
	hushed.Lflag |= syscall.ICANON | syscall.ISIG
	if err := ioctl(f, syscall.TCSETS, unsafe.Pointer(&hushed)); err != nil {
		return nil, err
	}
	return func() { ioctl(f, syscall.TCSETS, unsafe.Pointer(before)) }, nil
}

func attributes(f *os.File) (*syscall.Termios, error) {
	var t syscall.Termios
	return &t, ioctl(f, syscall.TCGETS, unsafe.Pointer(&t))
}

// ioctl does not take the descriptor out of the poller, as f.Fd would.
func ioctl(f *os.File, request uintptr, argument unsafe.Pointer) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	err = conn.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(argument))
	})
	if err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
}
