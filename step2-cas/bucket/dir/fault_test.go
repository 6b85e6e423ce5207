package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"shibafu.dev/step2-cas/bucket"
)

// Each write is tried with its first sync failing, then its second, until there
// are no more. What is expected depends on what failed alone: a file, and
// nothing has happened; a folder, and nobody can tell, so nobody is told.
func TestWriteUnderFaults(t *testing.T) {
	before := map[string]string{"a/kept": "1", "a/x": "2"}
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, b *Bucket) []bucket.Change
		keys   []string
		after  map[string]string
	}{
		{"put", func(*testing.T, *Bucket) []bucket.Change {
			return []bucket.Change{set("b/new", "3")}
		}, []string{"b/new"}, map[string]string{"a/kept": "1", "a/x": "2", "b/new": "3"}},
		{"replace", func(*testing.T, *Bucket) []bucket.Change {
			return []bucket.Change{set("a/x", "3")}
		}, []string{"a/x"}, map[string]string{"a/kept": "1", "a/x": "3"}},
		{"conditional", func(t *testing.T, b *Bucket) []bucket.Change {
			info, err := b.Stat(t.Context(), "a/x")
			if err != nil {
				t.Fatal(err)
			}
			c := set("a/x", "3")
			c.If = bucket.IfVersion(info.Version)
			return []bucket.Change{c}
		}, []string{"a/x"}, map[string]string{"a/kept": "1", "a/x": "3"}},
		{"delete", func(*testing.T, *Bucket) []bucket.Change {
			return []bucket.Change{{Key: "a/x", Delete: true}}
		}, []string{"a/x"}, map[string]string{"a/kept": "1"}},
		{"publish", func(t *testing.T, b *Bucket) []bucket.Change {
			return []bucket.Change{{Key: "b/blob", From: createUpload(t, b, "bytes")}, set("c/link", "b/blob")}
		}, []string{"b/blob", "c/link"}, map[string]string{"a/kept": "1", "a/x": "2", "b/blob": "bytes", "c/link": "b/blob"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, more := 1, true; more; i++ {
				root := t.TempDir()
				b, d := open(t, root)
				write(t, b, set("a/kept", "1"), set("a/x", "2"))
				changes := tt.change(t, b)
				d.arm(i, syscall.EIO)
				err := b.Write(t.Context(), changes...)
				wantNothingStaged(t, b)
				switch d.failed() {
				case "":
					more = false
					if err != nil {
						t.Errorf("no sync fails: %v", err)
					}
					wantContent(t, b, tt.after)
				case "file":
					if !errors.Is(err, syscall.EIO) {
						t.Errorf("sync %d of a file fails: %v", i, err)
					}
					wantContent(t, b, before)
					write(t, b, set("a/y", "the next write works"))
				default:
					if !errors.Is(err, syscall.EIO) {
						t.Errorf("sync %d, of the folder %s, fails: %v", i, d.failed(), err)
					}
					wantDoubt(t, b, tt.keys)
					b.Close()
					b, _ = open(t, root) // which syncs everything
					wantContent(t, b, tt.after)
				}
			}
		})
	}
}

// wantDoubt wants that nobody is told anything about the keys, that others can be
// read, and that nothing can be written.
func wantDoubt(t *testing.T, b *Bucket, keys []string) {
	t.Helper()
	for _, key := range keys {
		if _, err := b.Open(t.Context(), key); !errors.Is(err, syscall.EIO) {
			t.Errorf("Open(%q): %v", key, err)
		}
		if _, err := b.Stat(t.Context(), key); !errors.Is(err, syscall.EIO) {
			t.Errorf("Stat(%q): %v", key, err)
		}
		for _, err := range b.List(t.Context(), key, "", false) {
			if !errors.Is(err, syscall.EIO) {
				t.Errorf("List(%q): %v", key, err)
			}
		}
	}
	if data, _, err := bucket.ReadAll(t.Context(), b, "a/kept", 10); string(data) != "1" || err != nil {
		t.Errorf("another key reads %q, %v", data, err)
	}
	if err := b.Write(t.Context(), set("z/other", "x")); !errors.Is(err, syscall.EIO) {
		t.Errorf("another write: %v", err)
	}
	if _, err := os.Lstat(b.path("z/other")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another write left a file: %v", err)
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
			if err := u.Save(ctx, []byte("state 1")); err != nil {
				t.Fatal(err)
			}
			if _, err := u.Append(ctx, 5, strings.NewReader(" and lost")); err != nil {
				t.Fatal(err)
			}
			d.arm(1, syscall.EIO)
			if err := tt.faulted(t, b, u); !errors.Is(err, syscall.EIO) {
				t.Errorf("the sync fails: %v", err)
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
// the bytes that its state vouches for.
func TestSaveUnderFaults(t *testing.T) {
	for _, tt := range []struct {
		fail  int
		what  string
		size  int64
		state string
	}{
		{1, "file", 3, "state 1"}, // the data
		{2, "file", 3, "state 1"}, // the state, not yet in its place
		{3, "uploads/u", 6, "state 2"},
		{4, "", 6, "state 2"},
	} {
		t.Run(fmt.Sprint(tt.fail, tt.what), func(t *testing.T) {
			b, d := open(t, t.TempDir())
			u := createUpload(t, b, "one")
			if err := u.Save(t.Context(), []byte("state 1")); err != nil {
				t.Fatal(err)
			}
			if _, err := u.Append(t.Context(), 3, strings.NewReader("two")); err != nil {
				t.Fatal(err)
			}
			d.arm(tt.fail, syscall.EIO)
			err := u.Save(t.Context(), []byte("state 2"))
			if d.failed() != tt.what || (err != nil) != (tt.what != "") {
				t.Errorf("%q failed and Save returned %v", d.failed(), err)
			}
			u.Close()
			u, err = b.OpenUpload(t.Context(), "u")
			if err != nil || u.Size() != tt.size || string(u.State()) != tt.state {
				t.Fatalf("found with %d bytes and %q, %v", u.Size(), u.State(), err)
			}
		})
	}
}

// The first Save makes the upload's own folder durable too.
func TestFirstSaveSyncs(t *testing.T) {
	b, d := open(t, t.TempDir())
	u := createUpload(t, b, "bytes")
	if err := u.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if want := []string{"file", "file", "uploads/u", "uploads"}; !slices.Equal(d.syncs, want) {
		t.Errorf("it syncs %v, want %v", d.syncs, want)
	}
}

// No file gets its name before it was synced, not even one that is empty, or that
// was only cut.
func TestEverythingIsSynced(t *testing.T) {
	ctx := t.Context()
	b, d := open(t, t.TempDir())
	write(t, b, set("data", "x"))
	if want := []string{"file", "."}; !slices.Equal(d.syncs, want) {
		t.Errorf("data: %v, want %v", d.syncs, want)
	}

	d.arm(0, nil)
	u := createUpload(t, b, "")
	write(t, b, bucket.Change{Key: "empty", From: u})
	if want := []string{"file", "."}; !slices.Equal(d.syncs, want) {
		t.Errorf("an empty upload: %v, want %v", d.syncs, want)
	}

	u = createUpload(t, b, "saved")
	if err := u.Save(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Append(ctx, 5, strings.NewReader(" and lost")); err != nil {
		t.Fatal(err)
	}
	u.Close()
	u, err := b.OpenUpload(ctx, "u")
	if err != nil {
		t.Fatal(err)
	}
	d.arm(0, nil)
	write(t, b, bucket.Change{Key: "cut", From: u})
	if want := []string{"file", "."}; !slices.Equal(d.syncs, want) {
		t.Errorf("a cut upload: %v, want %v", d.syncs, want)
	}
}

// full is what the system says when there is no room.
func full(op string) error { return &fs.PathError{Op: op, Path: "/secret", Err: syscall.ENOSPC} }

func TestFullWhileStaging(t *testing.T) {
	b, d := open(t, t.TempDir())
	d.arm(1, full("write"))
	if err := b.Write(t.Context(), set("k", "x")); !errors.Is(err, bucket.ErrFull) {
		t.Errorf("no room to stage: %v", err)
	}
	wantNothingStaged(t, b)
	wantContent(t, b, map[string]string{})
	write(t, b, set("k", "x"))
	wantContent(t, b, map[string]string{"k": "x"})
}

// The upload's data is /dev/full, on which every write really fails.
func TestFullWhileAppending(t *testing.T) {
	b, _ := open(t, t.TempDir())
	u, err := b.CreateUpload(t.Context(), "u", nil)
	if err != nil {
		t.Fatal(err)
	}
	data := b.uploadPath("u") + "/data"
	if err := os.Symlink("/dev/full", data); err != nil {
		t.Fatal(err)
	}
	if n, err := u.Append(t.Context(), 0, strings.NewReader("x")); n != 0 || !errors.Is(err, bucket.ErrFull) {
		t.Errorf("Append: %d, %v", n, err)
	}
	if err := u.Abort(t.Context()); err != nil {
		t.Errorf("Abort: %v", err)
	}
	if _, err := os.Lstat(b.uploadPath("u")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its bytes were not freed: %v", err)
	}
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
	if _, err := u.Append(t.Context(), 3, strings.NewReader(" two")); err != nil {
		t.Errorf("Append: %v", err)
	}
	write(t, b, bucket.Change{Key: "b/lob", From: u})
	wantContent(t, b, map[string]string{"b/lob": "one two", "file": "in the way"})
}
