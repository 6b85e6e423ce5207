package client_test

import (
	"bytes"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step6-client/client"
)

// forgetful is a registry as docker-registry 2.8 is: a session of which a request was
// cut, with some of its bytes arrived, is over, and nobody is told until they ask. The
// bytes come at a rate, in bytes a second.
type forgetful struct {
	rate  int
	bytes atomic.Int64

	mu   sync.Mutex
	lost map[string]bool // sessions
}

func (f *forgetful) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session := path.Base(r.URL.Path)
		f.mu.Lock()
		lost := f.lost[session]
		f.mu.Unlock()
		if lost && strings.Contains(r.URL.Path, "/uploads/") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if !sends(r) {
			next.ServeHTTP(w, r)
			return
		}
		body, err := f.receive(r.Body)
		if err != nil {
			f.mu.Lock()
			f.lost[session] = f.lost[session] || len(body) > 0
			f.mu.Unlock()
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

func (f *forgetful) receive(r io.Reader) (body []byte, err error) {
	for piece := make([]byte, 16<<10); ; {
		n, err := r.Read(piece)
		body = append(body, piece[:n]...)
		f.bytes.Add(int64(n))
		time.Sleep(time.Duration(n) * time.Second / time.Duration(f.rate))
		if err == io.EOF {
			return body, nil
		}
		if err != nil {
			return body, err
		}
	}
}

// Where a cut costs a session, a blob that takes longer than the time between two
// arrives all the same: nothing is under way when the link breaks.
func TestPushInTheRhythmOfCuts(t *testing.T) {
	const rate = 2 * mib
	for _, tt := range []struct {
		name  string
		every time.Duration
		size  int
		bytes float64 // at most, of the size
	}{
		{"three seconds", 3 * time.Second, 16 * mib, 1.5}, // the first cut costs up to 6 MiB
		{"five seconds", 5 * time.Second, 20 * mib, 1.6},
		{"shorter than that", 3 * time.Second, 2 * mib, 1.01},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := content(tt.size)
			synctest.Test(t, func(t *testing.T) {
				f := &forgetful{rate: rate, lost: map[string]bool{}}
				whole, line := registry(t), newPipes()
				near, far := startOn(t, line, f.before(whole), client.Options{}), startBubble(t, whole, impatient)
				go func() {
					for tick := time.NewTicker(tt.every); ; {
						select {
						case <-tick.C:
							line.cut()
						case <-t.Context().Done():
							tick.Stop()
							return
						}
					}
				}()
				if err := near.PushBlob(t.Context(), aName, blobOf(data), client.BytesContent(data)); err != nil {
					t.Fatal(err)
				}
				has(t, far, aName, data)
				if most := int64(tt.bytes * float64(tt.size)); f.bytes.Load() > most {
					t.Errorf("%d bytes came, want at most %d", f.bytes.Load(), most)
				}
			})
		})
	}
}
