package dir

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"testing"
)

// Whoever was told that an upload is over does not find it again after a power
// cut.
func TestAbortIsDurable(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail int
		err  error
	}{
		{"the disk keeps it", 0, nil},
		{"the disk does not", 1, syscall.EIO},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, d := open(t, t.TempDir())
			u := createUpload(t, b, "bytes")
			if err := u.Save(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			d.arm(tt.fail, tt.err)
			if err := u.Abort(t.Context()); !errors.Is(err, tt.err) {
				t.Errorf("Abort: %v", err)
			}
			if want := []string{"uploads"}; !slices.Equal(d.syncs, want) {
				t.Errorf("it syncs %v, want %v", d.syncs, want)
			}
			if _, err := os.Lstat(b.uploadPath("u")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("its bytes were not freed: %v", err)
			}
		})
	}
}
