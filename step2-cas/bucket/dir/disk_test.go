package dir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shibafu.dev/step2-cas/bucket"
)

// faulty stands in for the syncs of a bucket: it records them, and has the n-th
// fail. It does not sync, as no power is cut here.
type faulty struct {
	syncs []string // what was synced since the last arm: "file" or the folder's key
	fail  int      // counted from 1; 0 for none
	err   error
}

func (d *faulty) arm(n int, err error) { d.syncs, d.fail, d.err = nil, n, err }

func (d *faulty) sync(what string) error {
	d.syncs = append(d.syncs, what)
	if len(d.syncs) == d.fail {
		return d.err
	}
	return nil
}

// failed is what could not be synced, "" if the fault never came.
func (d *faulty) failed() string {
	if d.fail == 0 || d.fail > len(d.syncs) {
		return ""
	}
	return d.syncs[d.fail-1]
}

// open opens the bucket of root over a faulty disk.
func open(t *testing.T, root string) (*Bucket, *faulty) {
	t.Helper()
	b, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	d := &faulty{}
	b.disk.all = nil
	b.disk.file = func(*os.File) error { return d.sync("file") }
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

func write(t *testing.T, b *Bucket, changes ...bucket.Change) {
	t.Helper()
	if err := b.Write(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
}

func set(key, data string) bucket.Change { return bucket.Change{Key: key, Data: []byte(data)} }

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
	if got := fmt.Sprint(content(t, b)); got != fmt.Sprint(want) {
		t.Errorf("the bucket holds %s, want %s", got, fmt.Sprint(want))
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

func createUpload(t *testing.T, b *Bucket, data string) bucket.Upload {
	t.Helper()
	u, err := b.CreateUpload(t.Context(), "u", []byte("state"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Append(t.Context(), 0, strings.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	return u
}
