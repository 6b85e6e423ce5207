package upload_test

import (
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step4-upload/upload"
)

func TestChunks(t *testing.T) {
	each(t, func(t *testing.T, b bucket.Bucket) {
		m := manage(t, b, upload.Limits{})
		id := start(t, m)
		if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
			t.Errorf("ID %q is not a random UUID", id)
		}
		wantSize(t, m, id, 0)
		mustAppend(t, m, id, 0, "one ")
		wantSize(t, m, id, 4)
		mustAppend(t, m, id, 4, "two ")
		mustAppend(t, m, id, upload.AtEnd, "three ")
		mustAppend(t, m, id, upload.AtEnd, "")
		wantSize(t, m, id, 14)
		wantNoBlob(t, b, "one two three ")
		mustFinish(t, m, b, id, "four", "one two three four")
		wantFreed(t, b)
	})
}

func TestFinishWithoutBytes(t *testing.T) {
	each(t, func(t *testing.T, b bucket.Bucket) {
		m := manage(t, b, upload.Limits{})
		id := start(t, m)
		mustAppend(t, m, id, 0, "all of it")
		mustFinish(t, m, b, id, "", "all of it")
		mustFinish(t, m, b, start(t, m), "", "")
		wantFreed(t, b)
	})
}

func TestOffsets(t *testing.T) {
	tests := []struct {
		name   string
		offset int64
		reason string
	}{
		{"before the end", 4, "would overwrite what was acknowledged"},
		{"start", 0, "a chunk that is sent again"},
		{"after the end", 6, "would leave a hole"},
		{"far after the end", 1<<63 - 1, "no sum with it may overflow"},
		{"negative", -2, "only AtEnd has a meaning"},
	}
	each(t, func(t *testing.T, b bucket.Bucket) {
		m := manage(t, b, upload.Limits{})
		id := start(t, m)
		mustAppend(t, m, id, 0, "hello")
		want := upload.Status{ID: id, Size: 5}
		for _, tt := range tests {
			status, err := m.Append(t.Context(), repoA, id, tt.offset, strings.NewReader("x"))
			if !errors.Is(err, upload.ErrOffset) || status != want {
				t.Errorf("%s: Append: %+v, %v; want ErrOffset, %+v (%s)", tt.name, status, err, want, tt.reason)
			}
			status, err = m.Finish(t.Context(), repoA, id, sha256Of("hellox"), tt.offset, strings.NewReader("x"))
			if !errors.Is(err, upload.ErrOffset) || status != want {
				t.Errorf("%s: Finish: %+v, %v; want ErrOffset, %+v (%s)", tt.name, status, err, want, tt.reason)
			}
		}
		mustFinish(t, m, b, id, "", "hello")
	})
}

func TestCancel(t *testing.T) {
	each(t, func(t *testing.T, b bucket.Bucket) {
		m := manage(t, b, upload.Limits{})
		id := start(t, m)
		mustAppend(t, m, id, 0, "hello")
		if err := m.Cancel(t.Context(), repoA, id); err != nil {
			t.Fatal(err)
		}
		wantFreed(t, b)
		wantUnknown(t, m, id)
		_, err := m.Append(t.Context(), repoA, id, upload.AtEnd, empty)
		wantError(t, err, upload.ErrUnknown)
		_, err = m.Finish(t.Context(), repoA, id, sha256Of("hello"), upload.AtEnd, empty)
		wantError(t, err, upload.ErrUnknown)
		wantError(t, m.Cancel(t.Context(), repoA, id), upload.ErrUnknown)
		wantNoBlob(t, b, "hello")
	})
}

// Wherever the body is cut, what came is kept, and the client finds out how much
// that is.
func TestCutAtEachByte(t *testing.T) {
	const content = "0123456789abcdef"
	each(t, func(t *testing.T, b bucket.Bucket) {
		m := manage(t, b, upload.Limits{})
		for i := range content {
			id := start(t, m)
			status, err := m.Append(t.Context(), repoA, id, 0, cut(content[:i]))
			if want := (upload.Status{ID: id, Size: int64(i)}); !errors.Is(err, bucket.ErrSource) || status != want {
				t.Fatalf("Append cut at %d: %+v, %v", i, status, err)
			}
			wantSize(t, m, id, int64(i))
			mustFinish(t, m, b, id, content[i:], content)

			id = start(t, m)
			status, err = m.Finish(t.Context(), repoA, id, sha256Of(content), 0, cut(content[:i]))
			if want := (upload.Status{ID: id, Size: int64(i)}); !errors.Is(err, bucket.ErrSource) || status != want {
				t.Fatalf("Finish cut at %d: %+v, %v", i, status, err)
			}
			mustFinish(t, m, b, id, content[i:], content)
		}
		wantFreed(t, b)
	})
}

func TestMismatchEndsTheSession(t *testing.T) {
	each(t, func(t *testing.T, b bucket.Bucket) {
		m := manage(t, b, upload.Limits{})
		id := start(t, m)
		mustAppend(t, m, id, 0, "hello")
		status, err := m.Finish(t.Context(), repoA, id, sha256Of("hello"), upload.AtEnd, strings.NewReader("!"))
		if !errors.Is(err, digest.ErrMismatch) || status != (upload.Status{}) {
			t.Errorf("Finish: %+v, %v", status, err)
		}
		wantUnknown(t, m, id)
		wantFreed(t, b)
		wantNoBlob(t, b, "hello")
		wantNoBlob(t, b, "hello!")
	})
}

func TestTooLarge(t *testing.T) {
	each(t, func(t *testing.T, b bucket.Bucket) {
		m := manage(t, b, upload.Limits{Blob: 5})
		id := start(t, m)
		mustAppend(t, m, id, 0, "hel")
		mustFinish(t, m, b, id, "lo", "hello")

		id = start(t, m)
		mustAppend(t, m, id, 0, "hel")
		status, err := m.Append(t.Context(), repoA, id, 3, strings.NewReader("lo!"))
		if !errors.Is(err, upload.ErrTooLarge) || status != (upload.Status{}) {
			t.Errorf("Append: %+v, %v", status, err)
		}
		wantUnknown(t, m, id)
		err = m.Put(t.Context(), repoA, sha256Of("hello!"), iotest.OneByteReader(strings.NewReader("hello!")))
		wantError(t, err, upload.ErrTooLarge)
		wantFreed(t, b)
		wantNoBlob(t, b, "hello!")
	})
}

// A reader that never ends is left at the limit.
func TestTooLargeStopsReading(t *testing.T) {
	m := manage(t, openFolder(t, t.TempDir()), upload.Limits{Blob: 1 << 20})
	id := start(t, m)
	endless := &zeros{}
	_, err := m.Append(t.Context(), repoA, id, 0, endless)
	wantError(t, err, upload.ErrTooLarge)
	if endless.read > 2<<20 {
		t.Errorf("%d bytes were read of an endless body", endless.read)
	}
}

type zeros struct{ read int }

func (z *zeros) Read(p []byte) (int, error) {
	z.read += len(p)
	return len(p), nil
}

func TestPut(t *testing.T) {
	each(t, func(t *testing.T, b bucket.Bucket) {
		m := manage(t, b, upload.Limits{Sessions: 1})
		tests := []struct {
			name    string
			content string
			body    io.Reader
			want    error
		}{
			{"right", "hello", strings.NewReader("hello"), nil},
			{"again", "hello", strings.NewReader("hello"), nil},
			{"nothing", "", empty, nil},
			{"mismatch", "other", strings.NewReader("hello"), digest.ErrMismatch},
			{"cut", "cut", cut("cu"), bucket.ErrSource},
			{"cut at once", "cut", cut(""), bucket.ErrSource},
		}
		for _, tt := range tests {
			if err := m.Put(t.Context(), repoA, sha256Of(tt.content), tt.body); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
			wantFreed(t, b) // so the one session that may be open is free for the next
			if tt.want == nil {
				wantBlob(t, b, tt.content)
			} else {
				wantNoBlob(t, b, tt.content)
			}
		}
	})
}

// The algorithm that the last request names is the one that counts, announced or
// not.
func TestAlgorithms(t *testing.T) {
	algorithms := []digest.Algorithm{digest.SHA256, digest.SHA512}
	each(t, func(t *testing.T, b bucket.Bucket) {
		m := manage(t, b, upload.Limits{})
		for _, announced := range algorithms {
			for _, named := range algorithms {
				status, err := m.Start(t.Context(), repoA, announced)
				if err != nil {
					t.Fatal(err)
				}
				d := named.FromBytes([]byte("hello"))
				mustAppend(t, m, status.ID, 0, "hel")
				if _, err := m.Finish(t.Context(), repoA, status.ID, d, upload.AtEnd, strings.NewReader("lo")); err != nil {
					t.Errorf("%s announced, %s named: %v", announced, named, err)
				}
				if err := m.Put(t.Context(), repoA, d, strings.NewReader("hello")); err != nil {
					t.Errorf("Put %s: %v", named, err)
				}
				store := cas.New(b, cas.Distribution)
				if err := store.VerifyOne(t.Context(), d); err != nil {
					t.Errorf("%s: %v", d, err)
				}
			}
		}
		wantFreed(t, b)
	})
}
