// Package buckettest holds a bucket to its contract. A backend's own test is
//
//	buckettest.Run(t, func(t *testing.T) bucket.Bucket { … })
package buckettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"shibafu.dev/step2-cas/bucket"
)

// Run runs the suite. open is called once a test, for an empty bucket.
func Run(t *testing.T, open func(t *testing.T) bucket.Bucket) {
	for name, test := range map[string]func(*testing.T, bucket.Bucket){
		"objects":    testObjects,
		"keys":       testKeys,
		"conditions": testConditions,
		"races":      testRaces,
		"list":       testList,
		"upload":     testUpload,
		"resume":     testResume,
		"publish":    testPublish,
		"abort":      testAbort,
		"buffers":    testBuffers,
		"over":       testOver,
		"foreign":    testForeign,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func put(t *testing.T, b bucket.Bucket, key, data string) {
	t.Helper()
	if err := b.Write(t.Context(), bucket.Change{Key: key, Data: []byte(data)}); err != nil {
		t.Fatalf("Write(%q): %v", key, err)
	}
}

func want(t *testing.T, b bucket.Bucket, key, data string) {
	t.Helper()
	got, info, err := bucket.ReadAll(t.Context(), b, key, 1<<21)
	if err != nil || string(got) != data {
		t.Fatalf("%q holds %.80q, %v; want %.80q", key, got, err, data)
	}
	if info.Size != int64(len(data)) || info.Key != key {
		t.Errorf("Info of %q is %+v", key, info)
	}
}

func wantNone(t *testing.T, b bucket.Bucket, key string) {
	t.Helper()
	if _, err := b.Open(t.Context(), key); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("Open(%q): %v, want ErrNotExist", key, err)
	}
	if _, err := b.Stat(t.Context(), key); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("Stat(%q): %v, want ErrNotExist", key, err)
	}
}

func wantError(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("error is %v, want %v", err, target)
	}
}

func testObjects(t *testing.T, b bucket.Bucket) {
	ctx := t.Context()
	wantNone(t, b, "a/b")
	put(t, b, "a/b", "one")
	want(t, b, "a/b", "one")
	wantNone(t, b, "a")
	wantNone(t, b, "a/b/c")

	old, err := b.Open(ctx, "a/b")
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	before := old.Info()
	if again, err := b.Stat(ctx, "a/b"); err != nil || again != before {
		t.Errorf("Stat is %+v, %v; Open said %+v", again, err, before)
	}
	put(t, b, "a/b", "two")
	want(t, b, "a/b", "two")
	if after, _ := b.Stat(ctx, "a/b"); after.Version == before.Version {
		t.Errorf("version is still %q", after.Version)
	}
	if got, err := io.ReadAll(old); err != nil || string(got) != "one" {
		t.Errorf("an object opened before reads %q, %v; want the old bytes", got, err)
	}
	if _, err := old.Seek(1, io.SeekStart); err != nil {
		t.Error(err)
	}
	if got, _ := io.ReadAll(old); string(got) != "ne" {
		t.Errorf("after a seek it reads %q", got)
	}

	put(t, b, "empty", "")
	want(t, b, "empty", "")
	deleteTwice := bucket.Change{Key: "a/b", Delete: true}
	for range 2 {
		if err := b.Write(ctx, deleteTwice); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	wantNone(t, b, "a/b")
	put(t, b, "a/b/c", "a key may become a folder once it is deleted")
	if err := b.Write(ctx, bucket.Change{Key: "a/b/c", Delete: true}); err != nil {
		t.Fatal(err)
	}
	put(t, b, "a/b", "and a folder a key")
}

func testKeys(t *testing.T, b bucket.Bucket) {
	for _, tt := range []struct{ key, reason string }{
		{"", "empty"},
		{".", "the root"},
		{"/a", "absolute"},
		{"a/", "ends in a slash"},
		{"a//b", "empty part"},
		{"a/../b", "dot segment"},
		{"../a", "leaves the bucket"},
		{"a/./b", "dot segment"},
		{"a\x00b", "NUL"},
		{"uploads/x", "the backend's own folder"},
		{"a/" + strings.Repeat("x", 256), "part longer than a file's name"},
	} {
		if err := b.Write(t.Context(), bucket.Change{Key: tt.key}); !errors.Is(err, bucket.ErrKey) {
			t.Errorf("Write(%q): %v, want ErrKey: %s", tt.key, err, tt.reason)
		}
	}
	long := "a/" + strings.Repeat("x", 255)
	put(t, b, long, "fits")
	want(t, b, long, "fits")
}

func testConditions(t *testing.T, b bucket.Bucket) {
	ctx := t.Context()
	write := func(key, data string, c bucket.Condition) error {
		return b.Write(ctx, bucket.Change{Key: key, Data: []byte(data), If: c})
	}
	wantError(t, write("k", "x", bucket.IfVersion("none")), bucket.ErrChanged)
	wantNone(t, b, "k")
	wantError(t, write("k", "one", bucket.Absent), nil)
	wantError(t, write("k", "two", bucket.Absent), bucket.ErrChanged)
	want(t, b, "k", "one")

	info, _ := b.Stat(ctx, "k")
	wantError(t, write("k", "two", bucket.IfVersion(info.Version)), nil)
	wantError(t, write("k", "three", bucket.IfVersion(info.Version)), bucket.ErrChanged)
	want(t, b, "k", "two")

	err := b.Write(ctx,
		bucket.Change{Key: "other", Data: []byte("made")},
		bucket.Change{Key: "k", Delete: true, If: bucket.IfVersion(info.Version)})
	wantError(t, err, bucket.ErrChanged)
	wantNone(t, b, "other")
	want(t, b, "k", "two")

	info, _ = b.Stat(ctx, "k")
	err = b.Write(ctx,
		bucket.Change{Key: "other", Data: []byte("made"), If: bucket.Absent},
		bucket.Change{Key: "k", Delete: true, If: bucket.IfVersion(info.Version)})
	wantError(t, err, nil)
	want(t, b, "other", "made")
	wantNone(t, b, "k")
}

// testRaces counts to 64 with conditions alone, and has 16 create one key.
func testRaces(t *testing.T, b bucket.Bucket) {
	ctx := t.Context()
	put(t, b, "n", "0")
	increment := func() error {
		for {
			data, info, err := bucket.ReadAll(ctx, b, "n", 100)
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(string(data))
			if err != nil {
				return err
			}
			err = b.Write(ctx, bucket.Change{Key: "n", Data: []byte(strconv.Itoa(n + 1)), If: bucket.IfVersion(info.Version)})
			if !errors.Is(err, bucket.ErrChanged) {
				return err
			}
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 8 {
				if err := increment(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var mu sync.Mutex
	won := 0
	for range 16 {
		wg.Go(func() {
			err := b.Write(ctx, bucket.Change{Key: "made/by/one", If: bucket.Absent})
			if err == nil {
				mu.Lock()
				won++
				mu.Unlock()
			} else if !errors.Is(err, bucket.ErrChanged) {
				t.Error(err)
			}
		})
	}
	// Folders come and go under the writers' feet.
	for i := range 4 {
		wg.Go(func() {
			for j := range 16 {
				key := fmt.Sprintf("deep/er/%d/%d", i, j%2)
				if err := b.Write(ctx, bucket.Change{Key: key}); err != nil {
					t.Error(err)
				}
				if err := b.Write(ctx, bucket.Change{Key: key, Delete: true}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	want(t, b, "n", "64")
	if won != 1 {
		t.Errorf("%d writers made a key that must be absent", won)
	}
}

func testList(t *testing.T, b bucket.Bucket) {
	for _, key := range []string{"r/a/x", "r/a-b/x", "r/a.b/x", "r/a/b/c", "r/ab", "r/a_", "s/t", "r/z/1"} {
		put(t, b, key, key)
	}
	for _, tt := range []struct {
		name, prefix, after string
		oneLevel            bool
		want                string
	}{
		{"byte order of the whole key, not of the names", "r/", "", false, "r/a-b/x r/a.b/x r/a/b/c r/a/x r/a_ r/ab r/z/1"},
		{"everything", "", "", false, "r/a-b/x r/a.b/x r/a/b/c r/a/x r/a_ r/ab r/z/1 s/t"},
		{"one level", "r/", "", true, "r/a-b/ r/a.b/ r/a/ r/a_ r/ab r/z/"},
		{"one level of the top", "", "", true, "r/ s/"},
		{"a prefix may end within a name", "r/a", "", true, "r/a-b/ r/a.b/ r/a/ r/a_ r/ab"},
		{"and need not be a folder", "r/a/", "", false, "r/a/b/c r/a/x"},
		{"after a key", "r/", "r/a/b/c", false, "r/a/x r/a_ r/ab r/z/1"},
		{"after need not exist", "r/", "r/a/c", false, "r/a/x r/a_ r/ab r/z/1"},
		{"after a folder", "r/", "r/a/", true, "r/a_ r/ab r/z/"},
		{"after the last", "r/", "r/zz", false, ""},
		{"after that lies before the prefix", "s/", "r/ab", false, "s/t"},
		{"no such prefix", "q/", "", false, ""},
		{"a prefix that is a key's folder's start only", "r/a/xy", "", false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for info, err := range b.List(t.Context(), tt.prefix, tt.after, tt.oneLevel) {
				if err != nil {
					t.Fatal(err)
				}
				if folder := strings.HasSuffix(info.Key, "/"); folder != (info.Version == "") {
					t.Errorf("Info is %+v", info)
				} else if !folder && info.Size != int64(len(info.Key)) {
					t.Errorf("size of %q is %d", info.Key, info.Size)
				}
				got = append(got, info.Key)
			}
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	for range b.List(t.Context(), "r/", "", false) {
		break // the walk ends when the caller does
	}
	if err := b.Write(t.Context(), bucket.Change{Key: "s/t", Delete: true}); err != nil {
		t.Fatal(err)
	}
	for info := range b.List(t.Context(), "s/", "", false) {
		t.Errorf("%q is listed after its deletion", info.Key)
	}
}

func create(t *testing.T, b bucket.Bucket, id string) bucket.Upload {
	t.Helper()
	u, err := b.CreateUpload(t.Context(), id, []byte("state 0"))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func appendTo(t *testing.T, u bucket.Upload, data string) {
	t.Helper()
	if n, err := u.Append(t.Context(), u.Size(), strings.NewReader(data)); err != nil || n != int64(len(data)) {
		t.Fatalf("Append: %d, %v", n, err)
	}
}

func uploads(t *testing.T, b bucket.Bucket) (ids []string) {
	for id, err := range b.Uploads(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func testUpload(t *testing.T, b bucket.Bucket) {
	ctx := t.Context()
	u := create(t, b, "one")
	if u.ID() != "one" || u.Size() != 0 || string(u.State()) != "state 0" {
		t.Errorf("new upload: %q %d %q", u.ID(), u.Size(), u.State())
	}
	appendTo(t, u, "hello ")
	if n, err := u.Append(ctx, 5, strings.NewReader("x")); n != 0 || !errors.Is(err, bucket.ErrOffset) {
		t.Errorf("append before the end: %d, %v", n, err)
	}
	if n, err := u.Append(ctx, 7, strings.NewReader("x")); n != 0 || !errors.Is(err, bucket.ErrOffset) {
		t.Errorf("append behind the end: %d, %v", n, err)
	}
	cut := io.MultiReader(strings.NewReader("wor"), iotest.ErrReader(io.ErrUnexpectedEOF))
	n, err := u.Append(ctx, 6, cut)
	if n != 3 || !errors.Is(err, bucket.ErrSource) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("append from a reader that fails: %d, %v", n, err)
	}
	appendTo(t, u, "ld")
	if r, ok := u.(bucket.Rereader); ok {
		f, err := r.Reread()
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(f); string(got) != "hello world" {
			t.Errorf("reread %q", got)
		}
		f.Close()
	}
	wantNone(t, b, "one")
	if ids := uploads(t, b); !slices.Equal(ids, []string{"one"}) {
		t.Errorf("uploads are %v", ids)
	}
	put(t, b, "k", "old bytes")
	if err := b.Write(ctx, bucket.Change{Key: "k", From: u}, bucket.Change{Key: "link", Data: []byte("k")}); err != nil {
		t.Fatal(err)
	}
	want(t, b, "k", "hello world")
	want(t, b, "link", "k")
	if err := u.Close(); err != nil {
		t.Errorf("Close after publishing: %v", err)
	}
	if ids := uploads(t, b); len(ids) != 0 {
		t.Errorf("uploads are %v after publishing", ids)
	}
	if _, err := b.OpenUpload(ctx, "one"); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("OpenUpload after publishing: %v", err)
	}

	empty := create(t, b, "empty")
	if err := b.Write(ctx, bucket.Change{Key: "nothing", From: empty}); err != nil {
		t.Fatal(err)
	}
	want(t, b, "nothing", "")
	for _, id := range []string{"", "a/b", "..", "x\x00"} {
		if _, err := b.CreateUpload(ctx, id, nil); !errors.Is(err, bucket.ErrKey) {
			t.Errorf("CreateUpload(%q): %v", id, err)
		}
	}
}

func testResume(t *testing.T, b bucket.Bucket) {
	ctx := t.Context()
	if _, err := b.OpenUpload(ctx, "none"); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("OpenUpload: %v", err)
	}
	reopen := func(size int64, state string) bucket.Upload {
		t.Helper()
		u, err := b.OpenUpload(ctx, "u")
		if err != nil {
			t.Fatal(err)
		}
		if u.Size() != size || string(u.State()) != state {
			t.Fatalf("resumed at %d with %q, want %d with %q", u.Size(), u.State(), size, state)
		}
		return u
	}
	u := create(t, b, "u")
	appendTo(t, u, "not saved")
	u.Close()
	u = reopen(0, "state 0")
	appendTo(t, u, "saved")
	if err := u.Save(ctx, []byte("state 1")); err != nil {
		t.Fatal(err)
	}
	appendTo(t, u, " and lost")
	u.Close()
	u = reopen(5, "state 1")
	appendTo(t, u, " twice")
	if err := u.Save(ctx, []byte("state 2")); err != nil {
		t.Fatal(err)
	}
	if err := u.Save(ctx, []byte("state 3")); err != nil {
		t.Fatal(err)
	}
	u.Close()
	u = reopen(11, "state 3")
	if err := b.Write(ctx, bucket.Change{Key: "k", From: u}); err != nil {
		t.Fatal(err)
	}
	want(t, b, "k", "saved twice")
}

// testPublish has a Write fail and sees that it left the upload as it was.
func testPublish(t *testing.T, b bucket.Bucket) {
	ctx := t.Context()
	put(t, b, "k", "there")
	u := create(t, b, "u")
	appendTo(t, u, "kept")
	if err := u.Save(ctx, []byte("s")); err != nil {
		t.Fatal(err)
	}
	err := b.Write(ctx, bucket.Change{Key: "k", From: u, If: bucket.Absent})
	wantError(t, err, bucket.ErrChanged)
	appendTo(t, u, " and more")
	u.Close()
	if u, err = b.OpenUpload(ctx, "u"); err != nil || u.Size() != 4 {
		t.Fatalf("after a failed Write: %v", err)
	}
	appendTo(t, u, "!")
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if n, err := u.Append(ctx, 5, iotest.HalfReader(bytes.NewReader(big))); n != 1<<20 || err != nil {
		t.Fatalf("append of 1 MiB: %d, %v", n, err)
	}
	if err := b.Write(ctx, bucket.Change{Key: "k", From: u}); err != nil {
		t.Fatal(err)
	}
	want(t, b, "k", "kept!"+string(big))
}

func testAbort(t *testing.T, b bucket.Bucket) {
	ctx := context.WithoutCancel(t.Context())
	u := create(t, b, "u")
	appendTo(t, u, "gone")
	for range 2 {
		if err := u.Abort(ctx); err != nil {
			t.Errorf("Abort: %v", err)
		}
	}
	if err := u.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if ids := uploads(t, b); len(ids) != 0 {
		t.Errorf("uploads are %v", ids)
	}
	create(t, b, "u").Abort(ctx)
}

// keeper goes on looking at the buffer that it was last read into, as one does
// who hashes in the background.
type keeper struct {
	data string
	kept []byte
}

func (k *keeper) Read(p []byte) (int, error) {
	k.kept = p[:copy(p, k.data)]
	return len(k.kept), io.EOF
}

// testBuffers sees that a buffer is left alone after the last Read too. It tries
// often, since a pool may or may not hand the same buffer out again.
func testBuffers(t *testing.T, b bucket.Bucket) {
	u, v := create(t, b, "u"), create(t, b, "v")
	for range 16 {
		k := &keeper{data: "mine"}
		if _, err := u.Append(t.Context(), u.Size(), k); err != nil {
			t.Fatal(err)
		}
		appendTo(t, v, "theirs")
		if string(k.kept) != k.data {
			t.Fatalf("the buffer that held %q now holds %q", k.data, k.kept)
		}
	}
	for _, u := range []bucket.Upload{u, v} {
		if err := u.Abort(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// testOver sees that an upload which is over, in whichever way, takes nothing
// more and brings nothing back.
func testOver(t *testing.T, b bucket.Bucket) {
	ctx := t.Context()
	for name, end := range map[string]func(u bucket.Upload) error{
		"closed":    func(u bucket.Upload) error { return u.Close() },
		"aborted":   func(u bucket.Upload) error { return u.Abort(ctx) },
		"published": func(u bucket.Upload) error { return b.Write(ctx, bucket.Change{Key: "k", From: u}) },
	} {
		t.Run(name, func(t *testing.T) {
			u := create(t, b, name)
			if err := end(u); err != nil {
				t.Fatal(err)
			}
			before := uploads(t, b)
			if n, err := u.Append(ctx, u.Size(), strings.NewReader("x")); n != 0 || err == nil {
				t.Errorf("it takes %d bytes, %v", n, err)
			}
			if err := u.Save(ctx, nil); err == nil {
				t.Error("it can be saved")
			}
			if err := b.Write(ctx, bucket.Change{Key: "again", From: u}); err == nil {
				t.Error("it can be published")
			}
			if err := u.Abort(ctx); err != nil {
				t.Errorf("Abort: %v", err)
			}
			wantNone(t, b, "again")
			if after := uploads(t, b); !slices.Equal(after, before) {
				t.Errorf("uploads were %v and are %v", before, after)
			}
		})
	}
}

// testForeign has a bucket refuse an upload that is not its own, and with it the
// whole Write.
func testForeign(t *testing.T, b bucket.Bucket) {
	u := create(t, b, "u")
	foreign := struct{ bucket.Upload }{u}
	if err := b.Write(t.Context(), bucket.Change{Key: "k", Data: []byte("x")}, bucket.Change{Key: "l", From: foreign}); err == nil {
		t.Error("it was taken")
	}
	wantNone(t, b, "k")
	wantNone(t, b, "l")
	if err := u.Abort(t.Context()); err != nil {
		t.Error(err)
	}
}
