package upload_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step4-upload/upload"
)

// The races here are scripted: all goroutines run in a bubble whose clock stands
// still while any of them can go on, and synctest.Wait returns when each waits
// for something. The bubble fails if one of them is left over at the end.

// script runs the test in a bubble over every backend.
func script(t *testing.T, limits upload.Limits, test func(t *testing.T, m *upload.Manager, b bucket.Bucket)) {
	each(t, func(t *testing.T, b bucket.Bucket) {
		synctest.Test(t, func(t *testing.T) { test(t, manage(t, b, limits), b) })
	})
}

// result is what a request came to.
type result struct {
	upload.Status
	err error
}

func (r result) want(t *testing.T, status upload.Status, err error) {
	t.Helper()
	if r.Status != status || !errors.Is(r.err, err) {
		t.Errorf("%+v, %v; want %+v, %v", r.Status, r.err, status, err)
	}
}

// begin starts a request and returns when it waits for its body, for its turn, or
// is done.
func begin(do func() (upload.Status, error)) <-chan result {
	done := make(chan result, 1)
	go func() {
		status, err := do()
		done <- result{status, err}
	}()
	synctest.Wait()
	return done
}

func beginAppend(t *testing.T, m *upload.Manager, id string, offset int64, body io.Reader) <-chan result {
	return begin(func() (upload.Status, error) { return m.Append(t.Context(), repoA, id, offset, body) })
}

func beginFinish(t *testing.T, m *upload.Manager, id, content string, offset int64, body io.Reader) <-chan result {
	return begin(func() (upload.Status, error) {
		return m.Finish(t.Context(), repoA, id, sha256Of(content), offset, body)
	})
}

// stall begins an append that has sent data and then stands still until w is
// written to or closed.
func stall(t *testing.T, m *upload.Manager, id, data string) (w *io.PipeWriter, done <-chan result) {
	r, w := io.Pipe()
	done = beginAppend(t, m, id, upload.AtEnd, r)
	io.WriteString(w, data)
	return w, done
}

func TestTwoAppendsAtOneOffset(t *testing.T) {
	script(t, upload.Limits{}, func(t *testing.T, m *upload.Manager, b bucket.Bucket) {
		id := start(t, m)
		w, first := stall(t, m, id, "fir")
		second := beginAppend(t, m, id, 0, strings.NewReader("second"))
		io.WriteString(w, "st")
		w.Close()
		(<-first).want(t, upload.Status{ID: id, Size: 5}, nil)
		(<-second).want(t, upload.Status{ID: id, Size: 5}, upload.ErrOffset)
		mustFinish(t, m, b, id, "", "first")
		wantFreed(t, b)
	})
}

// Unscripted: whoever wins, one does, and the bytes are the winner's.
func TestManyAppendsAtOneOffset(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			b := mem.New()
			m := manage(t, b, upload.Limits{})
			id := start(t, m)
			var all sync.WaitGroup
			winners := make(chan string, 8)
			for _, data := range []string{"a", "bb", "ccc", "dddd"} {
				all.Go(func() {
					status, err := m.Append(t.Context(), repoA, id, 0, strings.NewReader(data))
					switch {
					case err == nil && status == (upload.Status{ID: id, Size: int64(len(data))}):
						winners <- data
					case !errors.Is(err, upload.ErrOffset):
						t.Errorf("%+v, %v", status, err)
					}
				})
			}
			all.Wait()
			mustFinish(t, m, b, id, "", <-winners)
			if len(winners) != 0 {
				t.Errorf("%q was acknowledged too", <-winners)
			}
		})
	}
}

// The first one's body is cut, so what the second sends may not be taken for the
// rest of it.
func TestAppendAfterCut(t *testing.T) {
	script(t, upload.Limits{}, func(t *testing.T, m *upload.Manager, b bucket.Bucket) {
		id := start(t, m)
		w, first := stall(t, m, id, "fir")
		again := beginAppend(t, m, id, 0, strings.NewReader("first"))
		rest := beginAppend(t, m, id, 3, strings.NewReader("st"))
		w.CloseWithError(io.ErrUnexpectedEOF)
		(<-first).want(t, upload.Status{ID: id, Size: 3}, bucket.ErrSource)
		if r := <-again; !errors.Is(r.err, upload.ErrOffset) {
			t.Errorf("again: %+v", r)
		}
		(<-rest).want(t, upload.Status{ID: id, Size: 5}, nil)
		mustFinish(t, m, b, id, "", "first")
	})
}

// A finish that comes while an append stands still is told so after a while; it
// does no harm, and once the append is done it succeeds.
func TestFinishDuringAppend(t *testing.T) {
	const busy = 7 * time.Second
	script(t, upload.Limits{Busy: busy}, func(t *testing.T, m *upload.Manager, b bucket.Bucket) {
		id := start(t, m)
		mustAppend(t, m, id, 0, "hello ")
		w, first := stall(t, m, id, "wor")
		asked := time.Now()
		(<-beginFinish(t, m, id, "hello world", upload.AtEnd, empty)).want(t, upload.Status{ID: id, Size: 6}, upload.ErrBusy)
		if waited := time.Since(asked); waited != busy {
			t.Errorf("it waited for %s, want %s", waited, busy)
		}
		wantSize(t, m, id, 6)
		second := beginFinish(t, m, id, "hello world", upload.AtEnd, empty)
		io.WriteString(w, "ld")
		w.Close()
		(<-first).want(t, upload.Status{ID: id, Size: 11}, nil)
		(<-second).want(t, upload.Status{ID: id, Size: 11}, nil)
		wantBlob(t, b, "hello world")
		wantFreed(t, b)
	})
}

func TestTwoFinishes(t *testing.T) {
	script(t, upload.Limits{}, func(t *testing.T, m *upload.Manager, b bucket.Bucket) {
		id := start(t, m)
		r, w := io.Pipe()
		first := beginFinish(t, m, id, "hello", upload.AtEnd, r)
		second := beginFinish(t, m, id, "hello", upload.AtEnd, empty)
		io.WriteString(w, "hello")
		w.Close()
		(<-first).want(t, upload.Status{ID: id, Size: 5}, nil)
		(<-second).want(t, upload.Status{}, upload.ErrUnknown)
		wantBlob(t, b, "hello")
		wantFreed(t, b)
	})
}

// A request that goes away while it waits leaves no trace.
func TestGoneWhileWaiting(t *testing.T) {
	script(t, upload.Limits{}, func(t *testing.T, m *upload.Manager, b bucket.Bucket) {
		id := start(t, m)
		w, first := stall(t, m, id, "hel")
		ctx, leave := context.WithCancel(t.Context())
		second := begin(func() (upload.Status, error) { return m.Append(ctx, repoA, id, upload.AtEnd, strings.NewReader("x")) })
		leave()
		(<-second).want(t, upload.Status{ID: id}, ctx.Err())
		io.WriteString(w, "lo")
		w.Close()
		(<-first).want(t, upload.Status{ID: id, Size: 5}, nil)
		mustFinish(t, m, b, id, "", "hello")
	})
}

// Many push the same at once: all succeed, one copy is there, nothing else is
// left.
func TestSameBlobByManyPushers(t *testing.T) {
	const content = "the base layer of what everybody builds"
	script(t, upload.Limits{}, func(t *testing.T, m *upload.Manager, b bucket.Bucket) {
		var pushers sync.WaitGroup
		for i := range 32 {
			pushers.Go(func() {
				if i%2 == 0 {
					if err := m.Put(t.Context(), repoB, sha256Of(content), strings.NewReader(content)); err != nil {
						t.Errorf("Put: %v", err)
					}
					return
				}
				status, err := m.Start(t.Context(), repoA, digest.SHA256)
				if err != nil {
					t.Errorf("Start: %v", err)
					return
				}
				mustAppend(t, m, status.ID, 0, content[:i])
				if _, err := m.Finish(t.Context(), repoA, status.ID, sha256Of(content), int64(i), strings.NewReader(content[i:])); err != nil {
					t.Errorf("Finish: %v", err)
				}
			})
		}
		pushers.Wait()
		wantBlob(t, b, content)
		wantFreed(t, b)
		blobs := 0
		for _, err := range cas.New(b, cas.Distribution).Verify(t.Context()) {
			if blobs++; err != nil {
				t.Error(err)
			}
		}
		if blobs != 1 {
			t.Errorf("%d blobs are there", blobs)
		}
	})
}
