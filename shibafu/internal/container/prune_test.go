package container_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"shibafu.dev/shibafu/internal/container"
)

// Prune leaves what an image needs, and takes what none does: layers, and the lock of
// who died while unpacking one.
func TestPrune(t *testing.T) {
	w := newWorld(t)
	kept, other := image(t), image(t, blob(t, text("other", "x")))
	w.says("", kept, container.Spec{}, "/probe", "exit", "0")
	w.says("", other, container.Spec{}, "/probe", "exit", "0")
	lock := filepath.Join(w.dir, "layers", "dead.lock")
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		images []container.Image
		dry    bool
		layers int
		locked error
	}{
		{"dry", []container.Image{kept}, true, 1, nil},
		{"one image", []container.Image{kept}, false, 1, fs.ErrNotExist},
		{"again", []container.Image{kept}, false, 0, fs.ErrNotExist},
		{"no image", nil, false, 1, fs.ErrNotExist},
	} {
		done, err := w.store.Prune(t.Context(), tt.images, tt.dry)
		if err != nil || done.Layers != tt.layers || done.Bytes > 0 != (tt.layers > 0) {
			t.Errorf("%s: %+v, %v; want %d layers", tt.name, done, err, tt.layers)
		}
		if _, err := os.Stat(lock); !errors.Is(err, tt.locked) {
			t.Errorf("%s: the lock: %v", tt.name, err)
		}
	}
}
