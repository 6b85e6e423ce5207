package dir

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir/journal"
)

// Each write is tried with its first sync failing, then its second, until there
// are no more. Whichever it is, nothing has happened; and if it is the journal's,
// nothing more is written until the bucket is opened again.
func TestWriteUnderFaults(t *testing.T) {
	before := map[string]string{"a/kept": "1", "a/x": "2"}
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, b *Bucket) []bucket.Change
		after  map[string]string
	}{
		{"put", func(*testing.T, *Bucket) []bucket.Change {
			return []bucket.Change{set("b/new", "3")}
		}, map[string]string{"a/kept": "1", "a/x": "2", "b/new": "3"}},
		{"put much", func(*testing.T, *Bucket) []bucket.Change {
			return []bucket.Change{set("a/x", long)}
		}, map[string]string{"a/kept": "1", "a/x": long}},
		{"conditional", func(t *testing.T, b *Bucket) []bucket.Change {
			info, err := b.Stat(t.Context(), "a/x")
			if err != nil {
				t.Fatal(err)
			}
			c := set("a/x", "3")
			c.If = bucket.IfVersion(info.Version)
			return []bucket.Change{c}
		}, map[string]string{"a/kept": "1", "a/x": "3"}},
		{"delete", func(*testing.T, *Bucket) []bucket.Change {
			return []bucket.Change{del("a/x")}
		}, map[string]string{"a/kept": "1"}},
		{"publish", func(t *testing.T, b *Bucket) []bucket.Change {
			return []bucket.Change{{Key: "b/blob", From: createUpload(t, b, "bytes")}, set("c/link", "b/blob")}
		}, map[string]string{"a/kept": "1", "a/x": "2", "b/blob": "bytes", "c/link": "b/blob"}},
		{"publish much", func(t *testing.T, b *Bucket) []bucket.Change {
			return []bucket.Change{{Key: "b/blob", From: createUpload(t, b, long)}, set("c/link", "b/blob")}
		}, map[string]string{"a/kept": "1", "a/x": "2", "b/blob": long, "c/link": "b/blob"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, more := 1, true; more; i++ {
				b, d := open(t, t.TempDir())
				write(t, b, set("a/kept", "1"), set("a/x", "2"))
				changes := tt.change(t, b)
				d.arm(i, syscall.EIO)
				err := b.Write(t.Context(), changes...)
				wantNothingStaged(t, b)
				if more = d.failed() != ""; !more {
					if err != nil {
						t.Errorf("no sync fails: %v", err)
					}
					wantContent(t, b, tt.after)
					continue
				}
				if !errors.Is(err, syscall.EIO) {
					t.Errorf("sync %d, of %s, fails: %v", i, d.failed(), err)
				}
				wantContent(t, b, before)
				err = b.Write(t.Context(), set("a/y", "another"))
				if closed := d.failed() == "journal"; closed != errors.Is(err, syscall.EIO) || closed != (err != nil) {
					t.Errorf("sync %d, of %s, failed; the next write: %v", i, d.failed(), err)
				}
			}
		})
	}
}

// What a write syncs: the journal alone for what is small, and first the bytes and
// their name for what is large.
func TestWhatIsSynced(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, b *Bucket)
		want []string
	}{
		{"data", func(t *testing.T, b *Bucket) { write(t, b, set("k", "x"), del("l")) }, []string{"journal"}},
		{"much data", func(t *testing.T, b *Bucket) { write(t, b, set("k", long)) }, []string{"file", stagingPath(1), "journal"}},
		{"an upload", func(t *testing.T, b *Bucket) {
			write(t, b, bucket.Change{Key: "k", From: createUpload(t, b, "x")}, set("l", "k"))
		}, []string{"journal"}},
		{"an empty upload", func(t *testing.T, b *Bucket) { write(t, b, bucket.Change{Key: "k", From: createUpload(t, b, "")}) }, []string{"journal"}},
		{"a large upload", func(t *testing.T, b *Bucket) { write(t, b, bucket.Change{Key: "k", From: createUpload(t, b, long)}) },
			[]string{"file", "uploads", "journal"}},
		{"a large upload in two parts", func(t *testing.T, b *Bucket) {
			u := createUpload(t, b, long)
			save(t, u, "state")
			appendTo(t, u, "x")
			write(t, b, bucket.Change{Key: "k", From: u})
		}, []string{"file", "uploads", "journal", "file", "journal"}},
		{"one that is only cut", func(t *testing.T, b *Bucket) {
			u := createUpload(t, b, long)
			save(t, u, "state")
			appendTo(t, u, " and lost")
			u.Close()
			u, err := b.OpenUpload(t.Context(), "u")
			if err != nil {
				t.Fatal(err)
			}
			write(t, b, bucket.Change{Key: "k", From: u})
		}, []string{"file", "uploads", "journal", "file", "uploads", "journal"}},
	} {
		b, d := open(t, t.TempDir())
		tt.do(t, b)
		if !slices.Equal(d.syncs, tt.want) {
			t.Errorf("%s: synced %v, want %v", tt.name, d.syncs, tt.want)
		}
	}
}

// A sync that failed must not be asked for again: the second one may say that all
// is well, after the kernel has dropped the bytes. So the upload is of no use any
// more, and what was saved before is.
func TestUploadUnderFaults(t *testing.T) {
	for _, tt := range []struct {
		name    string
		faulted func(t *testing.T, b *Bucket, u bucket.Upload) error
	}{
		{"save", func(t *testing.T, b *Bucket, u bucket.Upload) error {
			return u.Save(t.Context(), []byte("state 2"))
		}},
		{"publish", func(t *testing.T, b *Bucket, u bucket.Upload) error {
			return b.Write(t.Context(), bucket.Change{Key: "k", From: u})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := t.Context()
			b, d := open(t, t.TempDir())
			u := createUpload(t, b, "saved")
			save(t, u, "state 1")
			appendTo(t, u, long)
			d.arm(1, syscall.EIO)
			if err := tt.faulted(t, b, u); !errors.Is(err, syscall.EIO) || d.failed() != "file" {
				t.Errorf("the sync of %s fails: %v", d.failed(), err)
			}
			if err := u.Save(ctx, nil); !errors.Is(err, syscall.EIO) {
				t.Errorf("Save after that: %v", err)
			}
			if n, err := u.Append(ctx, u.Size(), strings.NewReader("x")); n != 0 || !errors.Is(err, syscall.EIO) {
				t.Errorf("Append after that: %d, %v", n, err)
			}
			if err := b.Write(ctx, bucket.Change{Key: "k", From: u}); !errors.Is(err, syscall.EIO) {
				t.Errorf("Write after that: %v", err)
			}
			wantContent(t, b, map[string]string{})
			u.Close()
			u, err := b.OpenUpload(ctx, "u")
			if err != nil || u.Size() != 5 || string(u.State()) != "state 1" {
				t.Fatalf("it does not resume where it was saved: %v", err)
			}
			write(t, b, bucket.Change{Key: "k", From: u})
			wantContent(t, b, map[string]string{"k": "saved"})
		})
	}
}

// Every sync of a Save fails in turn; each time the upload is found again with
// bytes that its state vouches for.
func TestSaveUnderFaults(t *testing.T) {
	for i, what := range []string{"file", "uploads", "journal", ""} {
		b, d := open(t, t.TempDir())
		u := createUpload(t, b, "one")
		save(t, u, "state 1")
		appendTo(t, u, long)
		d.arm(i+1, syscall.EIO)
		err := u.Save(t.Context(), []byte("state 2"))
		if d.failed() != what || (err != nil) != (what != "") {
			t.Errorf("%q failed, want %q, and Save returned %v", d.failed(), what, err)
		}
		u.Close()
		u, err = b.OpenUpload(t.Context(), "u")
		if err != nil {
			t.Fatal(err)
		}
		size, state := int64(3), "state 1"
		if what == "" {
			size, state = int64(3+len(long)), "state 2"
		}
		if u.Size() != size || string(u.State()) != state {
			t.Errorf("after %q failed: found with %d bytes and %q", what, u.Size(), u.State())
		}
	}
}

// full is what the system says when there is no room.
func full(op string) error { return &fs.PathError{Op: op, Path: "/secret", Err: syscall.ENOSPC} }

func TestFullWhileStaging(t *testing.T) {
	b, d := open(t, t.TempDir())
	d.arm(1, full("write"))
	if err := b.Write(t.Context(), set("k", long)); !errors.Is(err, bucket.ErrFull) {
		t.Errorf("no room to stage: %v", err)
	}
	wantNothingStaged(t, b)
	wantContent(t, b, map[string]string{})
	write(t, b, set("k", long))
	wantContent(t, b, map[string]string{"k": long})
}

// Before a write fails for want of room, the journal gives back what it takes.
func TestFullMakesRoom(t *testing.T) {
	b, d := open(t, t.TempDir())
	write(t, b, set("before", long[:inline])) // is more than the reserve
	d.arm(1, full("write"))
	write(t, b, set("k", long))
	wantContent(t, b, map[string]string{"before": long[:inline], "k": long})
	if fi, err := os.Stat(journalName(b.root)); err != nil || fi.Size() != journal.Reserve {
		t.Errorf("the journal takes %d bytes, %v", fi.Size(), err)
	}
}

// Where the journal cannot be written to, nothing has happened.
func TestNoJournal(t *testing.T) {
	b, _ := open(t, t.TempDir())
	good := b.journal
	closed, _, err := journal.Open(t.TempDir()+"/journal", nil)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	b.journal = closed
	u := createUpload(t, b, "one")
	err = b.Write(t.Context(), bucket.Change{Key: "blob", From: u}, set("k", "x"))
	if !errors.Is(err, os.ErrClosed) {
		t.Errorf("Write: %v", err)
	}
	wantContent(t, b, map[string]string{})
	wantNothingStaged(t, b)
	b.journal = good
	appendTo(t, u, " two")
	write(t, b, bucket.Change{Key: "blob", From: u}, set("k", "x"))
	wantContent(t, b, map[string]string{"blob": "one two", "k": "x"})
}

// The upload's data is /dev/full.
func TestFullWhileAppending(t *testing.T) {
	b, _ := open(t, t.TempDir())
	u, err := b.CreateUpload(t.Context(), "u")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", b.path("uploads/u.data")); err != nil {
		t.Fatal(err)
	}
	if n, err := u.Append(t.Context(), 0, strings.NewReader("x")); n != 0 || !errors.Is(err, bucket.ErrFull) {
		t.Errorf("Append: %d, %v", n, err)
	}
	if err := u.Abort(t.Context()); err != nil {
		t.Errorf("Abort: %v", err)
	}
	wantNoUpload(t, b)
}

// A folder that cannot be made stops a Write before it has renamed anything: the
// upload is as it was.
func TestNoFolder(t *testing.T) {
	b, _ := open(t, t.TempDir())
	write(t, b, set("file", "in the way"))
	u := createUpload(t, b, "one")
	err := b.Write(t.Context(), bucket.Change{Key: "b/lob", From: u}, set("file/deep/link", "x"))
	if !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("Write: %v", err)
	}
	wantContent(t, b, map[string]string{"file": "in the way"})
	wantNothingStaged(t, b)
	if _, err := os.Lstat(b.path("b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder is left: %v", err)
	}
	appendTo(t, u, " two")
	write(t, b, bucket.Change{Key: "b/lob", From: u})
	wantContent(t, b, map[string]string{"b/lob": "one two", "file": "in the way"})
}
