package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"shibafu.dev/step7-security/internal/durable"
)

func TestWrite(t *testing.T) {
	folder := t.TempDir()
	path, link := filepath.Join(folder, "a"), filepath.Join(folder, "b")
	if err := os.Symlink("a", link); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ path, data string }{{path, "one"}, {path, "two"}, {link, "three"}} {
		if err := durable.Write(step.path, []byte(step.data)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != step.data {
			t.Errorf("after %q: %q, %v", step.data, got, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if names, err := os.ReadDir(folder); err != nil || len(names) != 2 {
		t.Errorf("left over: %v, %v", names, err)
	}
}

func TestWriteFails(t *testing.T) {
	if err := durable.Write(filepath.Join(t.TempDir(), "none", "a"), nil); err == nil {
		t.Error("a file in a folder that is not there")
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := durable.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	order := make(chan string, 2)
	go func() {
		unlock, err := durable.Lock(path)
		if err != nil {
			t.Error(err)
			close(order)
			return
		}
		order <- "second"
		unlock()
	}()
	order <- "first"
	if err := unlock(); err != nil {
		t.Error(err)
	}
	if one, other := <-order, <-order; one != "first" || other != "second" {
		t.Errorf("%s before %s", one, other)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}
