package dir

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir/journal"
)

// From the journal alone everything comes back, but for the bytes of what was too
// large for it: those were synced where they were.
func TestPowerCut(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, b *Bucket)
		kept []string
		want map[string]string
	}{
		{"data", func(t *testing.T, b *Bucket) { write(t, b, set("a/x", "1"), set("b", "2")) }, nil,
			map[string]string{"a/x": "1", "b": "2"}},
		{"replaced", func(t *testing.T, b *Bucket) {
			write(t, b, set("a", "1"))
			write(t, b, set("a", "2"))
		}, nil, map[string]string{"a": "2"}},
		{"deleted", func(t *testing.T, b *Bucket) {
			write(t, b, set("a/x", "1"), set("b", "2"))
			write(t, b, del("a/x"))
		}, nil, map[string]string{"b": "2"}},
		{"empty", func(t *testing.T, b *Bucket) { write(t, b, set("a", "")) }, nil, map[string]string{"a": ""}},
		{"published", func(t *testing.T, b *Bucket) {
			write(t, b, bucket.Change{Key: "a", From: createUpload(t, b, "bytes")}, set("link", "a"))
		}, nil, map[string]string{"a": "bytes", "link": "a"}},
		{"saved and published", func(t *testing.T, b *Bucket) {
			u := createUpload(t, b, "by")
			save(t, u, "s")
			appendTo(t, u, "tes")
			write(t, b, bucket.Change{Key: "a", From: u})
		}, nil, map[string]string{"a": "bytes"}},
		{"large, and the rename was lost", func(t *testing.T, b *Bucket) {
			write(t, b, bucket.Change{Key: "a", From: createUpload(t, b, long)})
			if err := os.Rename(b.path("a"), b.path("uploads/u.data")); err != nil {
				t.Fatal(err)
			}
		}, []string{"uploads/u.data"}, map[string]string{"a": long}},
		{"large, and the rename was kept", func(t *testing.T, b *Bucket) {
			write(t, b, bucket.Change{Key: "a", From: createUpload(t, b, long)})
		}, []string{"a"}, map[string]string{"a": long}},
		{"large over small, and the rename was kept", func(t *testing.T, b *Bucket) {
			write(t, b, set("a", "small"))
			write(t, b, set("a", long))
		}, []string{"a"}, map[string]string{"a": long}},
		{"small over large", func(t *testing.T, b *Bucket) {
			write(t, b, set("a", long))
			write(t, b, set("a", "small"))
		}, []string{"a"}, map[string]string{"a": "small"}},
		{"large, and deleted", func(t *testing.T, b *Bucket) {
			write(t, b, bucket.Change{Key: "a", From: createUpload(t, b, long)})
			write(t, b, del("a"))
		}, []string{"a"}, map[string]string{}},
		{"saved small, and published large", func(t *testing.T, b *Bucket) {
			u := createUpload(t, b, "small")
			save(t, u, "s")
			appendTo(t, u, long)
			write(t, b, bucket.Change{Key: "a", From: u})
		}, []string{"a"}, map[string]string{"a": "small" + long}},
		{"refused, with the bytes removed", func(t *testing.T, b *Bucket) {
			write(t, b, set("a", "1"), set("b", "1"))
			b.journal.Commit(func() (r record) {
				r.move("c", stagingPath(1)+"/1", identity{9, 9})
				r.put("a", []byte("2"))
				return r
			}())
			write(t, b, set("b", "2"))
		}, nil, map[string]string{"a": "1", "b": "2"}},
		{"over what a checkpoint has forgotten", func(t *testing.T, b *Bucket) {
			write(t, b, set("a", "1"))
			write(t, b, set("a", "2"), set("b", "2"))
			checkpoint(t, b)
			write(t, b, set("b", "3"), set("c", "3"))
			checkpoint(t, b)
			write(t, b, set("c", "4"), set("d", "4"))
		}, []string{"a", "b", "c"}, map[string]string{"a": "2", "b": "3", "c": "4", "d": "4"}},
		{"after a rest", func(t *testing.T, b *Bucket) {
			write(t, b, set("a", "1"))
			checkpoint(t, b)
			write(t, b, set("b", "2"))
			checkpoint(t, b)
			if !b.rest() {
				t.Fatal("it does not rest")
			}
			write(t, b, set("b", "3"))
		}, []string{"a", "b"}, map[string]string{"a": "1", "b": "3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, _ := open(t, t.TempDir())
			tt.do(t, b)
			for range 2 { // the second one comes while the first is being recovered from
				cutPower(t, b, tt.kept...)
				b, _ = open(t, b.root)
				wantContent(t, b, tt.want)
				wantNothingStaged(t, b)
				wantNoUpload(t, b)
				if ops, err := journal.Read(journalName(b.root)); err != nil || len(ops) > 0 {
					t.Errorf("the journal still holds %v, %v", ops, err)
				}
				write(t, b, set("z", "after"), del("z"))
				tt.kept = []string{"a", "b", "c", "d", "a/x", "link"}
			}
		})
	}
}

// A key may have become a folder, or the other way round, and the disk may know of it
// or not.
func TestKeyAndFolder(t *testing.T) {
	for _, tt := range []struct {
		name, first, second string
	}{
		{"a key became a folder", "a/b", "a/b/c"},
		{"a folder became a key", "a/b/c", "a/b"},
	} {
		for what, lose := range map[string]func(b *Bucket){
			"died": die,
			"power cut": func(b *Bucket) {
				die(b)
				os.RemoveAll(b.path("a"))
				os.MkdirAll(filepath.Dir(b.path(tt.first)), 0o755)
				os.WriteFile(b.path(tt.first), []byte("1"), 0o644)
			},
		} {
			b, _ := open(t, t.TempDir())
			write(t, b, set(tt.first, "1"))
			write(t, b, del(tt.first))
			write(t, b, set(tt.second, "2"))
			lose(b)
			b, _ = open(t, b.root)
			if got := content(t, b); !maps.Equal(got, map[string]string{tt.second: "2"}) {
				t.Errorf("%s, %s: %v", tt.name, what, got)
			}
		}
	}
}

func checkpoint(t *testing.T, b *Bucket) {
	t.Helper()
	if err := b.checkpoint(false); err != nil {
		t.Fatal(err)
	}
}

// A saved upload comes back where it was saved.
func TestUploadAfterPowerCut(t *testing.T) {
	for _, tt := range []struct {
		name, data string
		kept       []string
	}{
		{"empty", "", nil},
		{"small", "bytes", nil},
		{"large", long, []string{"uploads/u.data"}},
	} {
		b, _ := open(t, t.TempDir())
		u := createUpload(t, b, tt.data)
		save(t, u, "state")
		appendTo(t, u, "lost")
		cutPower(t, b, tt.kept...)
		b, _ = open(t, b.root)
		u, err := b.OpenUpload(t.Context(), "u")
		if err != nil || u.Size() != int64(len(tt.data)) || string(u.State()) != "state" {
			t.Fatalf("%s: %v", tt.name, err)
		}
		appendTo(t, u, "!")
		write(t, b, bucket.Change{Key: "k", From: u})
		wantContent(t, b, map[string]string{"k": tt.data + "!"})
	}
}

// writes are three writes, and states what the bucket holds before and after each.
var (
	writes = [][]bucket.Change{{set("a", "1"), set("b/x", "1")}, {set("a", "2"), del("b/x")}, {set("c", "3")}}
	states = []map[string]string{{}, {"a": "1", "b/x": "1"}, {"a": "2"}, {"a": "2", "c": "3"}}
)

func journalOf(t *testing.T, writes [][]bucket.Change) []byte {
	t.Helper()
	b, _ := open(t, t.TempDir())
	for _, changes := range writes {
		write(t, b, changes...)
	}
	raw, err := os.ReadFile(journalName(b.root))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimRight(raw, "\x00")
}

// played is what a bucket holds whose journal is raw.
func played(t *testing.T, raw []byte) (map[string]string, error) {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(root+"/uploads", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/uploads/.journal", raw, 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := Open(root)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return content(t, b), nil
}

// A journal that was cut, or damaged in a byte, tells of the first writes, each
// whole: the writes are atomic.
func TestTornJournal(t *testing.T) {
	raw := journalOf(t, writes)
	isState := func(got map[string]string) bool {
		for _, s := range states {
			if maps.Equal(got, s) {
				return true
			}
		}
		return false
	}
	for i := range raw {
		damaged := []byte(strings.Clone(string(raw)))
		damaged[i] ^= 0x10
		for what, torn := range map[string][]byte{"cut": raw[:i], "damaged": damaged} {
			got, err := played(t, torn)
			if what == "damaged" && i < 512 { // in its header
				if !errors.Is(err, journal.ErrDamaged) {
					t.Errorf("%s at byte %d: %v, %v", what, i, got, err)
				}
				continue
			}
			if err != nil || !isState(got) || maps.Equal(got, states[3]) {
				t.Errorf("%s at byte %d: %v, %v", what, i, got, err)
			}
		}
	}
	if got, err := played(t, append(raw, make([]byte, 100)...)); err != nil || !maps.Equal(got, states[3]) {
		t.Errorf("whole: %v, %v", got, err)
	}
}

// What cannot be read for another reason than a cut is not passed over.
func TestForeignRecord(t *testing.T) {
	for name, payload := range map[string]string{
		"unknown kind":             "\x07\x01a\x00",
		"a path out of the bucket": "\x01\x04../a\x00",
		"a move from outside":      "\x02\x01a\x02/a",
		"a length beyond the end":  "\x01\x7fa",
	} {
		if _, err := record([]byte(payload)).ops(); !errors.Is(err, errRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckpointUnderFaults(t *testing.T) {
	want := map[string]string{"a": "1", "b": long}
	prepare := func(t *testing.T, n int, err error) (*Bucket, *faulty) {
		b, d := open(t, t.TempDir())
		write(t, b, set("a", "1"), set("b", long))
		d.arm(n, err)
		return b, d
	}
	t.Run("another program's bytes were lost", func(t *testing.T) {
		b, _ := prepare(t, 1, syscall.EIO)
		checkpoint(t, b)
		wantContent(t, b, want)
		write(t, b, set("c", "3"))
	})
	t.Run("it goes on", func(t *testing.T) {
		b, _ := prepare(t, 0, nil)
		b.disk.all = func() error { return syscall.EIO }
		if err := b.checkpoint(false); !errors.Is(err, syscall.EIO) {
			t.Errorf("checkpoint: %v", err)
		}
		if err := b.Write(t.Context(), set("c", "3")); !errors.Is(err, syscall.EIO) {
			t.Errorf("Write after that: %v", err)
		}
		wantContent(t, b, want)
		cutPower(t, b, "b")
		b, _ = open(t, b.root)
		wantContent(t, b, want)
	})
}

// FuzzRecord reads anything without harm, and what was written as it was.
func FuzzRecord(f *testing.F) {
	var r record
	r.put("a/b", []byte("data"))
	r.move("c", "uploads/u.data", identity{1, 2})
	r.remove("d")
	r.begin("uploads/v.data", []byte("x"))
	f.Add([]byte(r), "key", []byte("value"))
	f.Fuzz(func(t *testing.T, raw []byte, path string, data []byte) {
		record(raw).ops()
		var r record
		r.put(path, data)
		ops, err := r.ops()
		if err == nil && (len(ops) != 1 || ops[0].path != path || string(ops[0].data) != string(data)) {
			t.Errorf("%q, %q come back as %+v", path, data, ops)
		}
	})
}
