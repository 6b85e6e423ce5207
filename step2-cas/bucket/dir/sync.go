package dir

import (
	"os"
	"syscall"
)

// Besides (*os.File).Sync these are the ways in which this package asks the disk
// to keep something.

func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// syncFileSystem makes everything on the file system of f durable: syncfs(2).
func syncFileSystem(f *os.File) error {
	if _, _, errno := syscall.Syscall(sysSyncfs, f.Fd(), 0, 0); errno != 0 {
		return os.NewSyscallError("syncfs", errno)
	}
	return nil
}
