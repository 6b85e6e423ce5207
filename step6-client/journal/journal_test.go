package journal_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/journal"
)

var key = journal.Key{Registry: "https://example.com", Name: ref.MustName("a/b"), Digest: digest.FromBytes([]byte("x"))}

func open(t *testing.T, dir string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func keep(t *testing.T, j *journal.Journal, offset int64) {
	t.Helper()
	if err := j.Keep(journal.Upload{Key: key, Location: "https://example.com/v2/a/b/blobs/uploads/1?_state=s", Offset: offset, Size: 10}); err != nil {
		t.Fatal(err)
	}
}

func TestKeepFindForget(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "journal")
	j := open(t, dir)
	if u, ok := j.Find(key); ok {
		t.Errorf("found %v", u)
	}
	keep(t, j, 3)
	keep(t, j, 5)
	u, ok := open(t, dir).Find(key)
	if !ok || u.Key != key || u.Offset != 5 || u.Size != 10 || u.Location != "https://example.com/v2/a/b/blobs/uploads/1?_state=s" {
		t.Errorf("found %v, %t", u, ok)
	}
	for name, other := range map[string]journal.Key{
		"registry": {Registry: "http://example.com", Name: key.Name, Digest: key.Digest},
		"name":     {Registry: key.Registry, Name: ref.MustName("a"), Digest: key.Digest},
		"digest":   {Registry: key.Registry, Name: key.Name, Digest: digest.FromBytes([]byte("y"))},
	} {
		if u, ok := j.Find(other); ok {
			t.Errorf("another %s has %v", name, u)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if info, err := files[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: the location is a secret", info.Mode(), err)
	}
	j.Forget(key)
	j.Forget(key)
	if u, ok := j.Find(key); ok {
		t.Errorf("found %v after Forget", u)
	}
}

// Whatever becomes of an entry on the disk, it is as it was or it is not there.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	keep(t, j, 5)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, files[0].Name())
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string][]byte{"empty": nil, "longer": append(bytes.Clone(good), '}'), "zeros": make([]byte, len(good))}
	for i := range good {
		flipped := bytes.Clone(good)
		flipped[i] ^= 1
		damaged["flipped "+string(rune('0'+i%10))+" at "+time.Duration(i).String()] = flipped
		damaged["cut at "+time.Duration(i).String()] = good[:i]
	}
	for name, raw := range damaged {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if u, ok := j.Find(key); ok {
			t.Errorf("%s: found %v", name, u)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: the entry stays", name)
		}
	}
}

// An entry under another's name is not that one's.
func TestSwapped(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	keep(t, j, 5)
	files, _ := os.ReadDir(dir)
	other := key
	other.Name = ref.MustName("c")
	if err := j.Keep(journal.Upload{Key: other, Location: "x", Size: 10}); err != nil {
		t.Fatal(err)
	}
	both, _ := os.ReadDir(dir)
	for _, f := range both {
		if f.Name() != files[0].Name() {
			if err := os.Rename(filepath.Join(dir, f.Name()), filepath.Join(dir, files[0].Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	if u, ok := j.Find(key); ok {
		t.Errorf("found %v", u)
	}
}

func TestExpiry(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := open(t, dir)
		keep(t, j, 5)
		time.Sleep(journal.MaxAge - time.Second)
		if _, ok := j.Find(key); !ok {
			t.Error("expired too early")
		}
		time.Sleep(2 * time.Second)
		if u, ok := j.Find(key); ok {
			t.Errorf("found %v", u)
		}
	})
}

// Files that nobody asks for any more go when the journal is opened; those that are
// not ours stay.
func TestOpenSweeps(t *testing.T) {
	dir := t.TempDir()
	keep(t, open(t, dir), 5)
	files, _ := os.ReadDir(dir)
	old := time.Now().Add(-journal.MaxAge - time.Hour)
	for _, name := range []string{files[0].Name(), ".upload-123", "somebody's"} {
		path := filepath.Join(dir, name)
		if name != files[0].Name() {
			if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	open(t, dir)
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 || files[0].Name() != "somebody's" {
		t.Errorf("%v, %v", files, err)
	}
}

func TestNoJournal(t *testing.T) {
	var j *journal.Journal
	if err := j.Keep(journal.Upload{Key: key}); err != nil {
		t.Error(err)
	}
	if _, ok := j.Find(key); ok {
		t.Error("found something")
	}
	j.Forget(key)
}

func TestDefaultFolder(t *testing.T) {
	t.Setenv("HOME", "/home/x")
	for data, want := range map[string]string{
		"/data": "/data/shibafu/journal", "": "/home/x/.local/share/shibafu/journal", "relative": "/home/x/.local/share/shibafu/journal",
	} {
		t.Setenv("XDG_DATA_HOME", data)
		if got, err := journal.DefaultFolder(); err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", data, got, err, want)
		}
	}
}
