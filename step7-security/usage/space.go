package usage

import "syscall"

// Space is the room of a file system, in bytes.
type Space struct {
	// Free is what a process without privileges may still take; Total is all there is.
	Free, Total uint64
}

// SpaceOf is the room of the file system that a folder is on.
func SpaceOf(folder string) (Space, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return Space{}, err
	}
	block := uint64(s.Bsize)
	return Space{Free: s.Bavail * block, Total: s.Blocks * block}, nil
}
