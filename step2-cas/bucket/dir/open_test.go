package dir

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"shibafu.dev/step2-cas/bucket"
)

func TestLock(t *testing.T) {
	root := t.TempDir()
	b, _ := open(t, root)
	_, err := Open(root)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("second Open: %v; want ErrLocked with the process", err)
	}
	if !b.SoleWriter() {
		t.Error("the holder of the lock is not the sole writer")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, root)
}

func TestReadOnly(t *testing.T) {
	ctx := t.Context()
	root := t.TempDir()
	b, _ := open(t, root)
	write(t, b, set("a/k", "x"))
	u := createUpload(t, b, "bytes")
	u.Close()

	r, err := OpenReadOnly(root)
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, r, map[string]string{"a/k": "x"})
	if r.SoleWriter() {
		t.Error("a reader says that it is the sole writer")
	}
	if err := r.Write(ctx, set("a/k", "y")); !errors.Is(err, errReadOnly) {
		t.Errorf("Write: %v", err)
	}
	if _, err := r.CreateUpload(ctx, "v"); !errors.Is(err, errReadOnly) {
		t.Errorf("CreateUpload: %v", err)
	}
	if _, err := r.OpenUpload(ctx, "u"); !errors.Is(err, errReadOnly) {
		t.Errorf("OpenUpload: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	write(t, b, set("a/k", "z")) // the writer never noticed
	wantContent(t, b, map[string]string{"a/k": "z"})

	if _, err := OpenReadOnly(root + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("OpenReadOnly of nothing: %v", err)
	}
}

// A store is unsettled when its writer has died with something in the journal, until
// the next one.
func TestUnsettled(t *testing.T) {
	root := t.TempDir()
	look := func(when string, want bool) {
		t.Helper()
		if got, err := Unsettled(root); got != want || err != nil {
			t.Errorf("%s: %t, %v", when, got, err)
		}
	}
	look("nothing", false)
	b, _ := open(t, root)
	look("new", false)
	write(t, b, set("k", "x"))
	look("in use", false)
	die(b)
	look("dead", true)
	b, _ = open(t, root)
	look("in use again", false)
	write(t, b, set("k", "y"))
	b.Close()
	look("closed", false)
}

// What a process was staging when it died is of no use to the next one.
func TestLeftoversGo(t *testing.T) {
	root := t.TempDir()
	b, _ := open(t, root)
	if err := os.WriteFile(b.path(stagingPath(1))+"/1", []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.Close()
	b, _ = open(t, root)
	wantNothingStaged(t, b)
	write(t, b, set("k", "x"))
	wantContent(t, b, map[string]string{"k": "x"})
}

// What a crash may leave of an upload that cannot be taken up is removed by the
// first who asks for it, or it would stay for ever.
func TestRemainsOfUploadsGo(t *testing.T) {
	saved := string(encodeState(5, []byte("state")))
	for _, tt := range []struct {
		name, reason string
		files        map[string]string
	}{
		{"empty state", "a file system that lost it", map[string]string{"state": ""}},
		{"no data", "published by another program", map[string]string{"state": saved}},
		{"short data", "a disk that lied", map[string]string{"state": saved, "data": "byte", "state.new": "x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, _ := open(t, t.TempDir())
			for kind, data := range tt.files {
				if err := os.WriteFile(b.path("uploads/u."+kind), []byte(data), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := b.OpenUpload(t.Context(), "u"); !errors.Is(err, bucket.ErrNotExist) {
				t.Errorf("OpenUpload: %v (%s)", err, tt.reason)
			}
			wantNoUpload(t, b)
			createUpload(t, b, "the ID is free again")
		})
	}
}

// An upload that was never saved is of no use to the next process.
func TestUnsavedUploadsGo(t *testing.T) {
	b, _ := open(t, t.TempDir())
	createUpload(t, b, "bytes")
	die(b)
	b, _ = open(t, b.root)
	wantNoUpload(t, b)
}

// The state is checked as a whole: no byte of it can be wrong unnoticed.
func TestDamagedState(t *testing.T) {
	state := encodeState(5, []byte("hash"))
	for i := range state {
		damaged := append([]byte{}, state...)
		damaged[i] ^= 1
		if _, _, err := decodeState(damaged); !errors.Is(err, errDamaged) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		if _, _, err := decodeState(state[:i]); !errors.Is(err, errDamaged) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
	if size, rest, err := decodeState(state); size != 5 || string(rest) != "hash" || err != nil {
		t.Errorf("as it was: %d, %q, %v", size, rest, err)
	}
}

func TestUploadIsOpenOnce(t *testing.T) {
	b, _ := open(t, t.TempDir())
	u := createUpload(t, b, "bytes")
	save(t, u, "state")
	if _, err := b.OpenUpload(t.Context(), "u"); !errors.Is(err, bucket.ErrInUse) {
		t.Errorf("OpenUpload: %v", err)
	}
	if _, err := b.CreateUpload(t.Context(), "u"); !errors.Is(err, bucket.ErrInUse) {
		t.Errorf("CreateUpload: %v", err)
	}
	u.Close()
	if _, err := b.CreateUpload(t.Context(), "u"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("CreateUpload where one is: %v", err)
	}
	if _, err := b.OpenUpload(t.Context(), "u"); err != nil {
		t.Errorf("OpenUpload: %v", err)
	}
}

func TestEmptyFoldersGo(t *testing.T) {
	b, _ := open(t, t.TempDir())
	write(t, b, set("r/tags/v1/link", "x"), set("r/tags/v2/link", "x"))
	remains := func(folder string) error {
		_, err := os.Lstat(b.path(folder))
		return err
	}
	write(t, b, bucket.Change{Key: "r/tags/v1/link", Delete: true})
	if err := remains("r/tags/v1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of the deleted key is left: %v", err)
	}
	if err := remains("r/tags/v2"); err != nil {
		t.Errorf("the folder beside it: %v", err)
	}
	write(t, b, bucket.Change{Key: "r/tags/v2/link", Delete: true})
	if err := remains("r"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folders above the last key are left: %v", err)
	}
	if err := remains(""); err != nil {
		t.Errorf("the root: %v", err)
	}
}

// A published file tells people that it is not to be written to.
func TestBlobIsReadOnly(t *testing.T) {
	b, _ := open(t, t.TempDir())
	write(t, b, bucket.Change{Key: "k", From: createUpload(t, b, "bytes")})
	fi, err := os.Lstat(b.path("k"))
	if err != nil || fi.Mode() != 0o444 {
		t.Errorf("its mode is %v, %v", fi.Mode(), err)
	}
}

// Only regular files are objects, whatever lies in the folder.
func TestOnlyFilesAreObjects(t *testing.T) {
	b, _ := open(t, t.TempDir())
	if err := os.Mkdir(b.path("folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", b.path("link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(b.path("pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"folder", "link", "pipe"} {
		if _, err := b.Stat(t.Context(), key); !errors.Is(err, bucket.ErrNotExist) {
			t.Errorf("Stat(%q): %v", key, err)
		}
		if _, err := b.Open(t.Context(), key); !errors.Is(err, bucket.ErrNotExist) {
			t.Errorf("Open(%q): %v", key, err)
		}
	}
	wantContent(t, b, map[string]string{})
}

// A client that gets no time from its clock still sees each version differ.
func TestStampsDiffer(t *testing.T) {
	b, _ := open(t, t.TempDir())
	last := b.stamp()
	for range 1000 {
		next := b.stamp()
		if !next.After(last) {
			t.Fatalf("%v after %v", next, last)
		}
		last = next
	}
	write(t, b, set("k", "x"))
	if info, err := b.Stat(t.Context(), "k"); err != nil || !info.ModTime.After(last) {
		t.Errorf("ModTime is %v, %v; want it stamped", info.ModTime, err)
	}
}
