package upload_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step4-upload/upload"
)

// A disk that is full ends the session: keeping its bytes would keep the disk
// full. Once there is room, the next push succeeds.
func TestFull(t *testing.T) {
	for _, operation := range []string{"append", "save", "write"} {
		t.Run(operation, func(t *testing.T) {
			each(t, func(t *testing.T, b bucket.Bucket) {
				var err error
				m := manage(t, failing(b, operation, &err), upload.Limits{Sessions: 1})
				id := start(t, m)
				mustAppend(t, m, id, 0, "hello ")

				err = fmt.Errorf("%w: really", bucket.ErrFull)
				status, got := m.Append(t.Context(), repoA, id, 6, strings.NewReader("world"))
				if operation == "write" {
					status, got = m.Finish(t.Context(), repoA, id, sha256Of("hello world"), upload.AtEnd, empty)
				}
				if !errors.Is(got, bucket.ErrFull) || status != (upload.Status{}) {
					t.Errorf("%+v, %v; want ErrFull and no session", status, got)
				}
				wantUnknown(t, m, id)
				wantFreed(t, b)
				wantNoBlob(t, b, "hello world")

				err = nil
				mustFinish(t, m, b, start(t, m), "hello world", "hello world")
				wantFreed(t, b)
			})
		})
	}
}

// A body that is cut just when the disk is full ends the session too.
func TestFullAfterCut(t *testing.T) {
	each(t, func(t *testing.T, b bucket.Bucket) {
		err := bucket.ErrFull
		m := manage(t, failing(b, "save", &err), upload.Limits{})
		id := start(t, m)
		status, got := m.Append(t.Context(), repoA, id, 0, cut("hel"))
		if !errors.Is(got, bucket.ErrSource) || !errors.Is(got, bucket.ErrFull) || status != (upload.Status{}) {
			t.Errorf("%+v, %v", status, got)
		}
		wantUnknown(t, m, id)
		wantFreed(t, b)
	})
}

// To start a session takes no room; to begin with its bytes may.
func TestFullAtStart(t *testing.T) {
	each(t, func(t *testing.T, b bucket.Bucket) {
		err := bucket.ErrFull
		m := manage(t, failing(b, "create", &err), upload.Limits{Sessions: 1})
		for range 2 {
			wantError(t, m.Put(t.Context(), repoA, sha256Of(""), empty), bucket.ErrFull)
		}
		id := start(t, m)
		status, got := m.Append(t.Context(), repoA, id, 0, strings.NewReader("x"))
		if !errors.Is(got, bucket.ErrFull) || status != (upload.Status{ID: id}) {
			t.Errorf("%+v, %v", status, got)
		}
		err = nil
		mustFinish(t, m, b, id, "", "")
	})
}

// Other faults leave the session at what was durable before, and it goes on from
// there.
func TestFaultKeepsTheSession(t *testing.T) {
	tests := []struct {
		operation string
		size      int64
		reason    string
	}{
		{"open", 6, "nothing was taken in"},
		{"append", 8, "half of it was, and could be saved"},
		{"save", 6, "nobody knows what is on the disk beyond this"},
	}
	for _, tt := range tests {
		t.Run(tt.operation, func(t *testing.T) {
			each(t, func(t *testing.T, b bucket.Bucket) {
				var err error
				m := manage(t, failing(b, tt.operation, &err), upload.Limits{})
				id := start(t, m)
				mustAppend(t, m, id, 0, "hello ")
				err = errDisk
				status, got := m.Append(t.Context(), repoA, id, 6, strings.NewReader("world"))
				if want := (upload.Status{ID: id, Size: tt.size}); !errors.Is(got, errDisk) || status != want {
					t.Errorf("Append: %+v, %v; want %+v (%s)", status, got, want, tt.reason)
				}
				err = nil
				wantSize(t, m, id, tt.size)
				mustFinish(t, m, b, id, "hello world"[tt.size:], "hello world")
				wantFreed(t, b)
			})
		})
	}
}

// A blob that the repository refuses, for whatever reason, can be offered again.
func TestCommitRefused(t *testing.T) {
	errRefused := errors.New("not today")
	each(t, func(t *testing.T, b bucket.Bucket) {
		refuse := true
		commit := func(ctx context.Context, name ref.Name, w *cas.Writer, d digest.Digest) error {
			if name != repoA {
				t.Errorf("commit into %s", name)
			}
			if refuse {
				return errRefused
			}
			return w.Commit(ctx, d)
		}
		m := manageWith(t, b, upload.Limits{}, commit)
		id := start(t, m)
		mustAppend(t, m, id, 0, "hello ")
		status, err := m.Finish(t.Context(), repoA, id, sha256Of("hello world"), 6, strings.NewReader("world"))
		if want := (upload.Status{ID: id, Size: 11}); !errors.Is(err, errRefused) || status != want {
			t.Errorf("Finish: %+v, %v; want %+v", status, err, want)
		}
		wantSize(t, m, id, 11)
		wantError(t, m.Put(t.Context(), repoA, sha256Of("x"), strings.NewReader("x")), errRefused)
		refuse = false
		mustFinish(t, m, b, id, "", "hello world")
		wantFreed(t, b)
	})
}

// A client that goes away ends its request, not what has arrived; a blob that it
// was sending in one request is of no use to anybody.
func TestClientGone(t *testing.T) {
	each(t, func(t *testing.T, b bucket.Bucket) {
		m := manage(t, faulty{b, func(string) error { return nil }}, upload.Limits{})
		id := start(t, m)
		ctx, leave := context.WithCancel(t.Context())
		_, err := m.Append(ctx, repoA, id, 0, leaving{"hello", leave})
		wantError(t, err, bucket.ErrSource)
		wantSize(t, m, id, 5)
		mustFinish(t, m, b, id, "", "hello")

		ctx, leave = context.WithCancel(t.Context())
		err = m.Put(ctx, repoA, sha256Of("hello!"), leaving{"hello", leave})
		wantError(t, err, bucket.ErrSource)
		wantFreed(t, b)
	})
}

// leaving is the body of a client that goes away after these bytes.
type leaving struct {
	data  string
	leave func()
}

func (l leaving) Read(p []byte) (int, error) {
	l.leave()
	return copy(p, l.data), io.ErrUnexpectedEOF
}

const chunked, atOnce = "chunk by chunk", "at once"

// pushAll pushes in every way there is and returns what was acknowledged. It goes
// on after errors, as clients do.
func pushAll(ctx context.Context, m *upload.Manager) (acknowledged []string) {
	status, err := m.Start(ctx, repoA, digest.SHA256)
	if err == nil {
		status, _ = m.Append(ctx, repoA, status.ID, 0, strings.NewReader(chunked[:6]))
	}
	for range 3 { // resumes where the registry says
		if status.ID == "" {
			break
		}
		rest := strings.NewReader(chunked[status.Size:])
		if status, err = m.Finish(ctx, repoA, status.ID, sha256Of(chunked), status.Size, rest); err == nil {
			acknowledged = append(acknowledged, chunked)
			break
		}
	}
	if m.Put(ctx, repoA, sha256Of(atOnce), strings.NewReader(atOnce)) == nil {
		acknowledged = append(acknowledged, atOnce)
	}
	if status, err := m.Start(ctx, repoA, digest.SHA256); err == nil {
		m.Append(ctx, repoA, status.ID, 0, strings.NewReader("never mind"))
		m.Cancel(ctx, repoA, status.ID)
	}
	return acknowledged
}

// The first use of the storage fails, then the second, and so on, once or from
// then on. Whatever was acknowledged is there, one fault is got over, and what is
// left over a new process can take up or free.
func TestEachFault(t *testing.T) {
	for _, fault := range []error{errDisk, bucket.ErrFull} {
		for _, forever := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, for ever %t", fault, forever), func(t *testing.T) {
				each(t, func(t *testing.T, b bucket.Bucket) { tryEachFault(t, b, fault, forever) })
			})
		}
	}
}

func tryEachFault(t *testing.T, b bucket.Bucket, fault error, forever bool) {
	store := cas.New(b, cas.Distribution)
	broken := 1
	for hit := true; hit; broken++ {
		calls := 0
		bad := faulty{b, func(string) error {
			calls++
			if calls == broken || forever && calls > broken {
				return fault
			}
			return nil
		}}
		acknowledged := pushAll(t.Context(), manage(t, bad, upload.Limits{}))
		hit = calls >= broken
		for _, content := range acknowledged {
			wantBlob(t, b, content)
			if err := store.Delete(t.Context(), sha256Of(content)); err != nil {
				t.Error(err)
			}
		}
		resumes := fault == errDisk && !forever && broken > 1 // the first call is the start of the session
		if (resumes || !hit) && !slices.Contains(acknowledged, chunked) {
			t.Errorf("call %d failed, and the push did not get over it", broken)
		}
		manage(t, b, upload.Limits{Idle: 1}).Expire(t.Context())
		wantFreed(t, b)
	}
	if broken < 10 {
		t.Errorf("only %d calls were tried", broken)
	}
}
