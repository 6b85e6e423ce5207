package dir

import (
	"os"
	"syscall"
)

// These three are the only places where this package asks the disk to keep
// something.

func syncFile(f *os.File) error { return classify(f.Sync()) }

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
