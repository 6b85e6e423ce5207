package upload_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step4-upload/upload"
)

// A session that is cancelled is gone at once for all; its bytes go with the
// request that was adding to it, whatever comes of that.
func TestCancelDuringAppend(t *testing.T) {
	bodies := []struct {
		name string
		rest func(w *io.PipeWriter)
		want error
	}{
		{"ends", func(w *io.PipeWriter) { w.Close() }, upload.ErrUnknown},
		{"goes on", func(w *io.PipeWriter) { io.WriteString(w, "more") }, upload.ErrUnknown},
		{"is cut", func(w *io.PipeWriter) { w.CloseWithError(io.ErrUnexpectedEOF) }, upload.ErrUnknown},
	}
	for _, tt := range bodies {
		t.Run(tt.name, func(t *testing.T) {
			script(t, upload.Limits{Sessions: 1}, func(t *testing.T, m *upload.Manager, b bucket.Bucket) {
				id := start(t, m)
				mustAppend(t, m, id, 0, "hello ")
				w, first := stall(t, m, id, "wor")
				waiting := beginFinish(t, m, id, "hello wor", upload.AtEnd, empty)
				if err := m.Cancel(t.Context(), repoA, id); err != nil {
					t.Errorf("Cancel: %v", err)
				}
				wantUnknown(t, m, id)
				wantError(t, m.Cancel(t.Context(), repoA, id), upload.ErrUnknown)
				next := start(t, m)
				tt.rest(w)
				(<-first).want(t, upload.Status{}, tt.want)
				(<-waiting).want(t, upload.Status{}, upload.ErrUnknown)
				mustFinish(t, m, b, next, "", "")
				wantFreed(t, b)
				wantNoBlob(t, b, "hello wor")
			})
		})
	}
}

func TestCancelDuringFinish(t *testing.T) {
	script(t, upload.Limits{}, func(t *testing.T, m *upload.Manager, b bucket.Bucket) {
		id := start(t, m)
		r, w := io.Pipe()
		finish := beginFinish(t, m, id, "hello", 0, r)
		io.WriteString(w, "hello")
		if err := m.Cancel(t.Context(), repoA, id); err != nil {
			t.Errorf("Cancel: %v", err)
		}
		w.Close()
		(<-finish).want(t, upload.Status{}, upload.ErrUnknown)
		wantNoBlob(t, b, "hello")
		wantFreed(t, b)
	})
}

// A session is cancelled just when a request on it is using the storage. Either
// that notices, or it was first.
func TestCancelDuringEachOperation(t *testing.T) {
	tests := []struct {
		operation string
		finish    bool
		want      error
	}{
		{"create", false, upload.ErrUnknown},
		{"open", false, upload.ErrUnknown},
		{"append", false, upload.ErrUnknown},
		{"save", false, upload.ErrUnknown},
		{"create", true, upload.ErrUnknown},
		{"open", true, upload.ErrUnknown},
		{"append", true, upload.ErrUnknown},
		{"write", true, nil},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s, finish %t", tt.operation, tt.finish), func(t *testing.T) {
			each(t, func(t *testing.T, b bucket.Bucket) {
				var m *upload.Manager
				var id string
				hook := func(operation string) error {
					if operation != tt.operation {
						return nil
					}
					return m.Cancel(t.Context(), repoA, id)
				}
				m = manage(t, faulty{b, hook}, upload.Limits{})
				id = start(t, m)
				if tt.operation == "open" {
					mustAppend(t, m, id, 0, "") // or there would be nothing to open
				}
				var err error
				if tt.finish {
					_, err = m.Finish(t.Context(), repoA, id, sha256Of("hello"), 0, strings.NewReader("hello"))
				} else {
					_, err = m.Append(t.Context(), repoA, id, 0, strings.NewReader("hello"))
				}
				if !errors.Is(err, tt.want) {
					t.Errorf("%v, want %v", err, tt.want)
				}
				wantUnknown(t, m, id)
				wantFreed(t, b)
				if err == nil {
					wantBlob(t, b, "hello")
				} else {
					wantNoBlob(t, b, "hello")
				}
			})
		})
	}
}

// The request that waits is handed the turn at the moment of the cancelling. One
// of the two frees the bytes.
func TestCancelWhileTheTurnPasses(t *testing.T) {
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			b := mem.New()
			m := manage(t, b, upload.Limits{})
			id := start(t, m)
			w, first := stall(t, m, id, "hello")
			second := beginAppend(t, m, id, upload.AtEnd, strings.NewReader("x"))
			w.Close()
			<-first
			if err := m.Cancel(t.Context(), repoA, id); err != nil {
				t.Errorf("Cancel: %v", err)
			}
			<-second
			wantUnknown(t, m, id)
			wantFreed(t, b)
		})
	}
}
