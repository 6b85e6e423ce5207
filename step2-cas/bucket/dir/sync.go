package dir

import (
	"os"
	"syscall"
)

// disk is how the bucket asks for things to be kept.
type disk struct {
	// data keeps the bytes of a file, and what is needed to read them.
	data func(*os.File) error
	// file keeps all of a file, and folder the entries of a folder.
	file   func(*os.File) error
	folder func(path string) error
	// all keeps the whole file system.
	all func() error
}

// newDisk returns the disk that the file system of f is on.
func newDisk(f *os.File) *disk {
	return &disk{
		data:   syncData,
		file:   (*os.File).Sync,
		folder: syncFolder,
		all:    func() error { return syncFileSystem(f) },
	}
}

func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

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
