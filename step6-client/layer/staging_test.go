package layer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

func writeResult(s *staging) error {
	root, err := s.folder(result)
	if err != nil {
		return err
	}
	defer root.Close()
	return os.WriteFile(filepath.Join(root.Name(), "file"), []byte("x"), 0o644)
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// As long as it is not complete nobody else gets at it: there may be setuid files,
// whose owner is not set yet.
func TestStagingIsClosed(t *testing.T) {
	s, err := newStaging(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.remove()
	if info, err := os.Stat(s.path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// Nothing has its name before all of it is on the disk, and whoever is told that it
// is there finds it after a power cut.
func TestPublishOrder(t *testing.T) {
	parent := t.TempDir()
	target := filepath.Join(parent, "target")
	var order []string
	isThere := func() string {
		if _, err := os.Stat(filepath.Join(target, "file")); err != nil {
			return "nothing"
		}
		return "everything"
	}
	d := disk{
		all:    func(*os.File) error { order = append(order, "all, with "+isThere()); return nil },
		folder: func(path string) error { order = append(order, path+", with "+isThere()); return nil },
	}
	if err := publish(target, d, writeResult); err != nil {
		t.Fatal(err)
	}
	if want := []string{"all, with nothing", parent + ", with everything"}; !slices.Equal(order, want) {
		t.Errorf("synced %q, want %q", order, want)
	}
	if got := list(t, parent); !slices.Equal(got, []string{"target"}) {
		t.Errorf("the folder holds %q", got)
	}
}

func TestPublishFails(t *testing.T) {
	fails := func(*os.File) error { return syscall.EIO }
	works := func(*os.File) error { return nil }
	for _, tt := range []struct {
		name   string
		disk   disk
		fill   func(*staging) error
		before func(target string) error
		want   error
		left   []string
	}{
		{"in the middle", disk{works, nil}, func(s *staging) error { return errors.Join(writeResult(s), syscall.ENOSPC) }, nil, syscall.ENOSPC, nil},
		{"because the disk does", disk{fails, nil}, writeResult, nil, syscall.EIO, nil},
		{"because the target is there", disk{works, nil}, writeResult, func(target string) error { return os.Mkdir(target, 0o755) }, fs.ErrExist, []string{"target"}},
		{"because it is there as a link", disk{works, nil}, writeResult, func(target string) error { return os.Symlink("/tmp", target) }, fs.ErrExist, []string{"target"}},
		{"because its folder is not there", disk{works, nil}, writeResult, func(target string) error { return os.Remove(filepath.Dir(target)) }, fs.ErrNotExist, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parent := filepath.Join(t.TempDir(), "parent")
			if err := os.Mkdir(parent, 0o755); err != nil {
				t.Fatal(err)
			}
			target := filepath.Join(parent, "target")
			if tt.before != nil {
				if err := tt.before(target); err != nil {
					t.Fatal(err)
				}
			}
			if err := publish(target, tt.disk, tt.fill); !errors.Is(err, tt.want) {
				t.Errorf("publish: %v, want %v", err, tt.want)
			}
			if _, err := os.Lstat(parent); err != nil {
				return
			}
			if got := list(t, parent); !slices.Equal(got, tt.left) {
				t.Errorf("left: %q, want %q", got, tt.left)
			}
		})
	}
}

// Of two that unpack the same thing at once, one is told that it is there.
func TestPublishTwice(t *testing.T) {
	parent := t.TempDir()
	target := filepath.Join(parent, "target")
	first := publish(target, realDisk(), func(s *staging) error {
		if err := publish(target, realDisk(), writeResult); err != nil {
			return err
		}
		return writeResult(s)
	})
	if !errors.Is(first, fs.ErrExist) {
		t.Errorf("the slower: %v", first)
	}
	if got := list(t, parent); !slices.Equal(got, []string{"target"}) {
		t.Errorf("the folder holds %q", got)
	}
}

// What a killed process left goes, what a living one is at work on stays, and so
// does everything else.
func TestSweep(t *testing.T) {
	parent := t.TempDir()
	dead, err := newStaging(parent)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeResult(dead); err != nil {
		t.Fatal(err)
	}
	dead.lock.Close() // as the kernel does for one that was killed
	alive, err := newStaging(parent)
	if err != nil {
		t.Fatal(err)
	}
	defer alive.remove()
	for _, name := range []string{"other", "x" + stagingPrefix} {
		if err := os.Mkdir(filepath.Join(parent, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(parent, stagingPrefix+"file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(parent); err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Base(alive.path), stagingPrefix + "file", "other", "x" + stagingPrefix}
	slices.Sort(want)
	if got := list(t, parent); !slices.Equal(got, want) {
		t.Errorf("after Sweep there is %q, want %q", got, want)
	}
}
