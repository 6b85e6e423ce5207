// Package buckettest holds a bucket to its contract. A backend's own test is
//
//	buckettest.Run(t, func(t *testing.T) bucket.Bucket { … })
package buckettest

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"

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

	last := bucket.Change{Key: "tag", Data: []byte("manifest"), Last: true}
	if err := b.Write(ctx, last, bucket.Change{Key: "manifest", Data: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	want(t, b, "manifest", "{}")
	want(t, b, "tag", "manifest")
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
