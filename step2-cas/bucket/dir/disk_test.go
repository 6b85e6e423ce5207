package dir

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"shibafu.dev/step2-cas/bucket"
)

// faulty stands in for the syncs of a bucket: it records them, and has the n-th
// fail. It does not sync, as no power is cut here.
type faulty struct {
	mu    sync.Mutex
	syncs []string // what was synced since the last arm: "journal", "file", "all" or a folder's path
	fail  int      // counted from 1; 0 for none
	err   error
	gate  chan struct{} // what the next sync of the journal waits for, if not nil
}

func (d *faulty) arm(n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncs, d.fail, d.err = nil, n, err
}

func (d *faulty) sync(what string) error {
	d.mu.Lock()
	d.syncs = append(d.syncs, what)
	gate := d.gate
	if what != "journal" {
		gate = nil
	} else {
		d.gate = nil
	}
	var err error
	if len(d.syncs) == d.fail {
		err = d.err
	}
	d.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return err
}

// failed is what could not be synced, "" if the fault never came.
func (d *faulty) failed() string {
	if d.fail == 0 || d.fail > len(d.syncs) {
		return ""
	}
	return d.syncs[d.fail-1]
}

// shut has the next sync of the journal wait until the channel is closed.
func (d *faulty) shut() (open chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gate = make(chan struct{})
	return d.gate
}

// open opens the bucket of root over a faulty disk.
func open(t *testing.T, root string) (*Bucket, *faulty) {
	t.Helper()
	b, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	d := &faulty{}
	t.Cleanup(func() {
		d.arm(0, nil)
		b.Close()
	})
	b.disk.data = func(*os.File) error { return d.sync("journal") }
	b.disk.file = func(*os.File) error { return d.sync("file") }
	b.disk.all = func() error { return d.sync("all") }
	b.disk.folder = func(folder string) error {
		if _, err := os.Stat(folder); err != nil {
			return err
		}
		rel, err := filepath.Rel(b.root, folder)
		if err != nil {
			return err
		}
		return d.sync(rel)
	}
	return b, d
}

// die ends the bucket's process in the middle of what it is doing.
func die(b *Bucket) {
	b.settling.Lock()
	defer b.settling.Unlock()
	b.closed = true
	b.lock.Close()
}

// cutPower is die on a disk that kept nothing but what was synced: the journal, and
// what else is named.
func cutPower(t *testing.T, b *Bucket, kept ...string) {
	t.Helper()
	die(b)
	files, times := map[string][]byte{}, map[string]time.Time{}
	for _, name := range append(kept, "uploads/.journal") {
		if raw, err := os.ReadFile(b.path(name)); err == nil {
			fi, err := os.Stat(b.path(name))
			if err != nil {
				t.Fatal(err)
			}
			files[name], times[name] = raw, fi.ModTime()
		}
	}
	if err := os.RemoveAll(b.root); err != nil {
		t.Fatal(err)
	}
	for name, raw := range files {
		if err := os.MkdirAll(filepath.Dir(b.path(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(b.path(name), raw, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(b.path(name), time.Time{}, times[name]); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, b *Bucket, changes ...bucket.Change) {
	t.Helper()
	if err := b.Write(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
}

func set(key, data string) bucket.Change { return bucket.Change{Key: key, Data: []byte(data)} }

func del(key string) bucket.Change { return bucket.Change{Key: key, Delete: true} }

// content is all that a reader sees.
func content(t *testing.T, b *Bucket) map[string]string {
	t.Helper()
	all := map[string]string{}
	for info, err := range b.List(t.Context(), "", "", false) {
		if err != nil {
			t.Fatal(err)
		}
		data, _, err := bucket.ReadAll(t.Context(), b, info.Key, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		all[info.Key] = string(data)
	}
	return all
}

func wantContent(t *testing.T, b *Bucket, want map[string]string) {
	t.Helper()
	if got := content(t, b); !maps.Equal(got, want) {
		t.Errorf("the bucket holds %.300s, want %.300s", fmt.Sprint(got), fmt.Sprint(want))
	}
}

// wantNothingStaged looks at the disk, as no reader can see what is staged.
func wantNothingStaged(t *testing.T, b *Bucket) {
	t.Helper()
	left, err := filepath.Glob(b.path(stagingFolder) + "/*/*")
	if err != nil || len(left) > 0 {
		t.Errorf("staged files are left: %v, %v", left, err)
	}
}

// wantNoUpload wants that nothing is left of the upload "u".
func wantNoUpload(t *testing.T, b *Bucket) {
	t.Helper()
	left, err := filepath.Glob(b.path("uploads/u.*"))
	if err != nil || len(left) > 0 {
		t.Errorf("files of the upload are left: %v, %v", left, err)
	}
}

// long is as many bytes as the journal does not take.
var long = strings.Repeat("0123456789abcdef", inline/16+1)

// createUpload starts the upload "u" with these bytes.
func createUpload(t *testing.T, b *Bucket, data string) bucket.Upload {
	t.Helper()
	u, err := b.CreateUpload(t.Context(), "u")
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, u, data)
	return u
}

func appendTo(t *testing.T, u bucket.Upload, data string) {
	t.Helper()
	if _, err := u.Append(t.Context(), u.Size(), strings.NewReader(data)); err != nil {
		t.Fatal(err)
	}
}

func save(t *testing.T, u bucket.Upload, state string) {
	t.Helper()
	if err := u.Save(t.Context(), []byte(state)); err != nil {
		t.Fatal(err)
	}
}
