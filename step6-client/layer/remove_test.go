package layer_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"shibafu.dev/step6-client/layer"
)

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// A folder that nobody may enter is removed by its owner, whoever that is.
func TestRemove(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script string
		modes  map[string]os.FileMode
	}{
		{"an empty one", "", nil},
		{"some things", "d a\nf a/b 1\ns a/c b\np a/d\nl a/e a/b\nd f\nd f/g", nil},
		{"links to the host", "s a CANARY\ns b CANARY/file\nd c\ns c/d ../../canary/folder", nil},
		{"a folder without rights", "d a\nf a/b 1", map[string]os.FileMode{"a": 0}},
		{"folders without rights in one another", "d a\nd a/b\nd a/b/c\nf a/b/c/d 1", map[string]os.FileMode{"a/b/c": 0, "a/b": 0, "a": 0, "": 0}},
		{"a folder that cannot be written to", "d a\nf a/b 1", map[string]os.FileMode{"a": 0o555}},
		{"a folder that cannot be read", "d a\nf a/b 1", map[string]os.FileMode{"a": 0o300}},
		{"a file without rights", "f a 1", map[string]os.FileMode{"a": 0}},
		{"a sticky folder", "d a\nf a/b 1", map[string]os.FileMode{"a": os.ModeSticky | 0o111}},
		{"many things", manyFiles(5000), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			if err := layer.Unpack(t.Context(), h.target(), plain(archive(t, strings.ReplaceAll(tt.script, "CANARY", h.canary))), layer.Options{UserXattr: true}); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"a/b/c", "a/b", "a", ""} { // the inner ones first
				if mode, ok := tt.modes[name]; ok {
					chmod(t, filepath.Join(h.target(), name), mode)
				}
			}
			if err := layer.Remove(h.target()); err != nil {
				t.Error(err)
			}
			h.check()
		})
	}
}

func manyFiles(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "f d%d/%d\n", i%7, i)
	}
	return b.String()
}

// nest makes folders in one another, deeper than a path can name.
func nest(t *testing.T, root, name string, depth int, closed bool) {
	t.Helper()
	fd, err := syscall.Open(root, syscall.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range depth {
		if err := syscall.Mkdirat(fd, name, 0o700); err != nil {
			t.Fatal(err)
		}
		next, err := syscall.Openat(fd, name, syscall.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if closed {
			if err := syscall.Fchmod(fd, 0); err != nil {
				t.Fatal(err)
			}
		}
		syscall.Close(fd)
		fd = next
	}
	syscall.Close(fd)
}

// A container can make trees that are deeper than a path is long, and than there are
// descriptors.
func TestRemoveDeep(t *testing.T) {
	for _, closed := range []bool{false, true} {
		h := newHost(t)
		for name, depth := range map[string]int{"a": 1200, ".moved-1": 100, ".moved-2": 1} { // the latter stand in the way
			root := filepath.Join(h.target(), name)
			if err := os.MkdirAll(root, 0o755); err != nil {
				t.Fatal(err)
			}
			nest(t, root, strings.Repeat("x", 50), depth, closed)
		}
		if err := os.WriteFile(filepath.Join(h.target(), ".moved-3"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		withFewFiles(t, 200, func() {
			if err := layer.Remove(h.target()); err != nil {
				t.Error(err)
			}
		})
		h.check()
	}
}

// withFewFiles calls f while this process may have so many files open.
func withFewFiles(t *testing.T, most uint64, f func()) {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: most, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was)
	f()
}

func TestRemoveWhatIsNotThere(t *testing.T) {
	h := newHost(t)
	for _, path := range []string{h.target(), h.target() + "/a/b"} {
		if err := layer.Remove(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	h.check()
}

func TestRemoveRefuses(t *testing.T) {
	h := newHost(t)
	if err := os.Symlink(h.canary, h.target()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		h.target():         syscall.ENOTDIR,
		h.target() + "/":   syscall.ENOTDIR,
		h.canary + "/file": syscall.ENOTDIR,
		".":                syscall.EINVAL,
		"..":               syscall.EINVAL,
		"/":                syscall.EINVAL,
	} {
		if err := layer.Remove(path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	h.check("root")
}

// What is mounted in a tree is not the tree's: it may be a folder of the host.
func TestRemoveStopsAtMounts(t *testing.T) {
	const variable = "LAYER_TEST_MOUNT"
	if os.Getenv(variable) == "" {
		again(t, userNamespace(), variable, "-test.run=^TestRemoveStopsAtMounts$")
		return
	}
	h := newHost(t)
	for _, name := range []string{"a/mount", "b"} {
		if err := os.MkdirAll(filepath.Join(h.target(), name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mount := filepath.Join(h.target(), "a/mount")
	if err := syscall.Mount(h.canary, mount, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := layer.Remove(h.target()); !errors.Is(err, syscall.EBUSY) || !strings.Contains(err.Error(), `"mount": something is mounted there`) {
		t.Errorf("Remove: %v", err)
	}
	if err := layer.Remove(mount); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("Remove of the mount: %v", err)
	}
	if err := syscall.Unmount(mount, 0); err != nil {
		t.Fatal(err)
	}
	h.check("root")
	if err := layer.Remove(h.target()); err != nil {
		t.Error(err)
	}
	h.check()
}
