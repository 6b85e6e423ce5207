package dir

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

// A folder that cannot be opened says nothing of the disk, so the bucket does not
// close itself to writers; it asks for all to be kept. A folder that cannot be
// synced does.
func TestFolderThatCannotBeOpened(t *testing.T) {
	for _, tt := range []struct {
		name string
		op   string
		all  error
		want error
	}{
		{"too many open files", "open", nil, nil},
		{"too many open files, and the disk fails", "open", syscall.EIO, syscall.EIO},
		{"the disk fails", "sync", nil, syscall.EMFILE},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			d := &disk{
				file:   (*os.File).Sync,
				folder: func(path string) error { return &fs.PathError{Op: tt.op, Path: path, Err: syscall.EMFILE} },
				all:    func() error { asked++; return tt.all },
			}
			if err := d.each(&wish{folders: []string{"a", "b"}}); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if want := map[string]int{"open": 1, "sync": 0}[tt.op]; asked != want {
				t.Errorf("all was asked for %d times, want %d", asked, want)
			}
		})
	}
}
