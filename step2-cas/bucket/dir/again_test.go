package dir

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"shibafu.dev/step2-cas/bucket"
)

// The ID of an upload that is over is free again, and what the journal tells of the
// old one is not done to the new one: not by the next process, and not by a checkpoint
// that finds the disk to have lost something.
func TestUploadIDAgain(t *testing.T) {
	for _, tt := range []struct {
		name  string
		over  func(t *testing.T, b *Bucket)
		again string
		saved bool
		want  map[string]string
	}{
		{"published, and begun again", func(t *testing.T, b *Bucket) {
			write(t, b, bucket.Change{Key: "k", From: createUpload(t, b, long)})
		}, "half of another", false, map[string]string{"k": long}},
		{"published, and saved again", func(t *testing.T, b *Bucket) {
			write(t, b, bucket.Change{Key: "k", From: createUpload(t, b, long)})
		}, "half of another", true, map[string]string{"k": long}},
		{"aborted, and saved again", func(t *testing.T, b *Bucket) {
			u := createUpload(t, b, "small")
			save(t, u, "old")
			if err := u.Abort(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, long, true, map[string]string{}},
	} {
		for what, then := range map[string]func(b *Bucket, d *faulty) *Bucket{
			"died": func(b *Bucket, d *faulty) *Bucket {
				die(b)
				b, _ = open(t, b.root)
				return b
			},
			"the disk lost something": func(b *Bucket, d *faulty) *Bucket {
				d.arm(1, syscall.EIO)
				checkpoint(t, b)
				return b
			},
		} {
			b, d := open(t, t.TempDir())
			tt.over(t, b)
			u := createUpload(t, b, tt.again)
			if tt.saved {
				save(t, u, "new")
				u.Close()
			}
			b = then(b, d)
			wantContent(t, b, tt.want)
			if !tt.saved {
				continue
			}
			u, err := b.OpenUpload(t.Context(), "u")
			if err != nil || u.Size() != int64(len(tt.again)) {
				t.Errorf("%s, %s: OpenUpload: %v", tt.name, what, err)
				continue
			}
			write(t, b, bucket.Change{Key: "again", From: u})
			if got := content(t, b)["again"]; got != tt.again {
				t.Errorf("%s, %s: it holds %.20q", tt.name, what, got)
			}
		}
	}
}

// What objects hold is not what the journal tells: here, the path of a file that it
// needs.
func TestContentIsNoPath(t *testing.T) {
	b, _ := open(t, t.TempDir())
	for i := range 30 { // before and behind it, in whatever order ops are looked at
		write(t, b, set(fmt.Sprint("x", i), "uploads/u.data"))
	}
	write(t, b, bucket.Change{Key: "a", From: createUpload(t, b, long)}, set("link", "a"))
	if err := os.Rename(b.path("a"), b.path("uploads/u.data")); err != nil { // the rename is lost
		t.Fatal(err)
	}
	cutPower(t, b, "uploads/u.data")
	b, _ = open(t, b.root)
	if got := content(t, b); got["a"] != long || got["link"] != "a" {
		t.Errorf("a has %d bytes, link is %q", len(got["a"]), got["link"])
	}
}

// refuse does a Write whose record gets to the disk, though the disk says that it has
// not, and cuts the power before the record could be erased.
func refuse(t *testing.T, b *Bucket, changes []bucket.Change, kept ...string) {
	t.Helper()
	var raw []byte
	b.disk.data = func(*os.File) (err error) {
		if raw, err = os.ReadFile(journalName(b.root)); err != nil {
			t.Error(err)
		}
		return syscall.EIO
	}
	if err := b.Write(t.Context(), changes...); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if err := os.WriteFile(journalName(b.root), raw, 0o644); err != nil {
		t.Fatal(err)
	}
	cutPower(t, b, kept...)
}

// A file at the target of a move is not taken for the one that was to be moved there:
// what was refused does not come true in part, and what was acknowledged before it is
// not lost with it.
func TestRefusedMove(t *testing.T) {
	long0, long1, long2 := long+"0", long+"1", long+"2"
	t.Run("in part", func(t *testing.T) {
		b, _ := open(t, t.TempDir())
		write(t, b, set("k", long1), set("tag", "1"))
		checkpoint(t, b)
		refuse(t, b, []bucket.Change{set("k", long2), set("tag", "2")}, "k", "tag")
		b, _ = open(t, b.root)
		wantContent(t, b, map[string]string{"k": long1, "tag": "1"})
	})
	t.Run("over one that was acknowledged", func(t *testing.T) {
		b, _ := open(t, t.TempDir())
		write(t, b, set("k", long0))
		checkpoint(t, b)
		if err := os.Link(b.path("k"), b.path("before")); err != nil {
			t.Fatal(err)
		}
		write(t, b, set("k", long1))
		staged := stagingPath(2) + "/2"
		// Its rename is lost.
		if err := errors.Join(os.Rename(b.path("k"), b.path(staged)), os.Rename(b.path("before"), b.path("k"))); err != nil {
			t.Fatal(err)
		}
		refuse(t, b, []bucket.Change{set("k", long2)}, "k", staged)
		b, _ = open(t, b.root)
		wantContent(t, b, map[string]string{"k": long1})
	})
}

// A disk says once that it has lost bytes. Those of a small file that was begun before
// and is committed later may be among them, so they are written again.
func TestLossBeforeCommit(t *testing.T) {
	for _, tt := range []struct {
		name  string
		begin func(t *testing.T, b *Bucket) (file string, commit func())
	}{
		{"an upload", func(t *testing.T, b *Bucket) (string, func()) {
			u := createUpload(t, b, "small")
			return "uploads/u.data", func() { write(t, b, bucket.Change{Key: "k", From: u}) }
		}},
		{"a saved upload", func(t *testing.T, b *Bucket) (string, func()) {
			u := createUpload(t, b, "small")
			return "uploads/u.data", func() {
				save(t, u, "state")
				write(t, b, bucket.Change{Key: "k", From: u})
			}
		}},
		{"data whose key is taken", func(t *testing.T, b *Bucket) (string, func()) {
			if err := b.keys.lock(t.Context(), []string{"k"}); err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			go func() { done <- b.Write(t.Context(), set("k", "small")) }()
			file := stagingPath(2) + "/2"
			for _, err := os.Stat(b.path(file)); err != nil; _, err = os.Stat(b.path(file)) {
			}
			return file, func() {
				b.keys.unlock([]string{"k"})
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, d := open(t, t.TempDir())
			write(t, b, set("other", "x"))
			file, commit := tt.begin(t, b)
			old := time.Unix(1, 0)
			if err := os.Chtimes(b.path(file), old, old); err != nil {
				t.Fatal(err)
			}
			d.arm(1, syscall.EIO)
			checkpoint(t, b)
			commit()
			fi, err := os.Stat(b.path("k"))
			if err != nil || !fi.ModTime().After(old) {
				t.Errorf("its bytes were not written again: %v, %v", fi.ModTime(), err)
			}
			if got := content(t, b)["k"]; got != "small" {
				t.Errorf("k is %q", got)
			}
		})
	}
}

// A record that was made true in part is not played by the checkpoint that is to make
// sure of that.
func TestRefusedInApply(t *testing.T) {
	b, d := open(t, t.TempDir())
	write(t, b, set("link/in-the-way", "x"))
	d.arm(2, syscall.EIO) // the sync behind the journal's
	err := b.Write(t.Context(), set("a", "made"), set("link", "x"))
	if err == nil || d.failed() != "all" {
		t.Fatalf("%s failed, and Write says %v", d.failed(), err)
	}
	if err := b.Write(t.Context(), set("b", "x")); !errors.Is(err, syscall.EIO) {
		t.Errorf("the next one: %v", err)
	}
	wantContent(t, b, map[string]string{"a": "made", "link/in-the-way": "x"})
}
