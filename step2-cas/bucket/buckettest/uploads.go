package buckettest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"shibafu.dev/step2-cas/bucket"
)

func create(t *testing.T, b bucket.Bucket, id string) bucket.Upload {
	t.Helper()
	u, err := b.CreateUpload(t.Context(), id)
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
	if u.ID() != "one" || u.Size() != 0 || u.State() != nil {
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
	if ids := uploads(t, b); len(ids) != 0 {
		t.Errorf("uploads are %v, of which none was saved", ids)
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
		if _, err := b.CreateUpload(ctx, id); !errors.Is(err, bucket.ErrKey) {
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
	appendTo(t, u, "never saved")
	u.Close()
	if _, err := b.OpenUpload(ctx, "u"); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("OpenUpload of what was never saved: %v", err)
	}
	u = create(t, b, "u")
	if err := u.Save(ctx, []byte("state 0")); err != nil {
		t.Fatal(err)
	}
	if ids := uploads(t, b); !slices.Equal(ids, []string{"u"}) {
		t.Errorf("uploads are %v", ids)
	}
	appendTo(t, u, "not saved")
	u.Close()
	if _, err := b.CreateUpload(ctx, "u"); err == nil {
		t.Error("CreateUpload of an ID that is taken")
	}
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
	if err := u.Save(ctx, nil); err != nil {
		t.Fatal(err)
	}
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
