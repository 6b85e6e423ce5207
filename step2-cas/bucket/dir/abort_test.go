package dir

import (
	"errors"
	"syscall"
	"testing"

	"shibafu.dev/step2-cas/bucket"
)

// Whoever was told that an upload is over does not find it again after a power
// cut, and its bytes are freed whatever the disk says.
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
			save(t, u, "state")
			d.arm(tt.fail, tt.err)
			if err := u.Abort(t.Context()); !errors.Is(err, tt.err) {
				t.Errorf("Abort: %v", err)
			}
			wantNoUpload(t, b)
			if tt.err != nil {
				return
			}
			cutPower(t, b)
			b, _ = open(t, b.root)
			if _, err := b.OpenUpload(t.Context(), "u"); !errors.Is(err, bucket.ErrNotExist) {
				t.Errorf("after a power cut: %v", err)
			}
		})
	}
}

// An upload that was never saved is nothing that a crash could bring back, so
// nothing is synced for its end.
func TestAbortOfUnsaved(t *testing.T) {
	b, d := open(t, t.TempDir())
	u := createUpload(t, b, "bytes")
	if err := u.Abort(t.Context()); err != nil || len(d.syncs) > 0 {
		t.Errorf("Abort: %v, with syncs of %v", err, d.syncs)
	}
	wantNoUpload(t, b)
	u = createUpload(t, b, "bytes")
	if err := u.Close(); err != nil || len(d.syncs) > 0 {
		t.Errorf("Close: %v, with syncs of %v", err, d.syncs)
	}
	wantNoUpload(t, b)
}
