package client_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sends tells whether a request brings bytes of a blob.
func sends(r *http.Request) bool {
	return (r.Method == "PATCH" || r.Method == "PUT") && strings.Contains(r.URL.Path, "/blobs/uploads/") && r.ContentLength != 0
}

// straight lets everything pass.
func straight(next http.Handler) http.Handler { return next }

// tooLarge refuses bodies beyond a size, as nginx does.
func tooLarge(most int64) between {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if sends(r) && r.ContentLength > most {
				w.Header().Set("Connection", "close")
				http.Error(w, "<html>413</html>", http.StatusRequestEntityTooLarge)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// buffered takes a whole body in before it passes it on, and gives up with a status
// on one that takes longer than there is time for; 0 is to cut the connection.
func buffered(most int64, status int) between {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if sends(r) {
				body, _ := io.ReadAll(io.LimitReader(r.Body, most+1))
				if int64(len(body)) > most {
					if status == 0 {
						panic(http.ErrAbortHandler)
					}
					w.Header().Set("Connection", "close")
					w.WriteHeader(status)
					return
				}
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
			next.ServeHTTP(w, r)
		})
	}
}

// cutAfter passes bytes on as they come, and cuts each connection after so many.
func cutAfter(most int64) between {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !sends(r) || r.ContentLength <= most {
				next.ServeHTTP(w, r)
				return
			}
			r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, most), broken{}))
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		})
	}
}

// noticedLate cuts the first request that brings more than so many bytes, and has the
// registry get what it brought some time later.
func noticedLate(most int64) between {
	return func(next http.Handler) http.Handler {
		var cut atomic.Bool
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !sends(r) || r.ContentLength <= most || cut.Swap(true) {
				next.ServeHTTP(w, r)
				return
			}
			some, _ := io.ReadAll(io.LimitReader(r.Body, most))
			later := r.Clone(context.WithoutCancel(r.Context()))
			later.Body = io.NopCloser(io.MultiReader(bytes.NewReader(some), broken{}))
			go func() {
				time.Sleep(400 * time.Millisecond)
				next.ServeHTTP(httptest.NewRecorder(), later)
			}()
			panic(http.ErrAbortHandler)
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// lostAnswer lets the n-th of the requests that which picks be done, and loses its
// answer.
func lostAnswer(n int64, which func(*http.Request) bool) between {
	return func(next http.Handler) http.Handler {
		var seen atomic.Int64
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if which(r) && seen.Add(1) == n {
				next.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	}
}

// instead answers the n-th of the requests that which picks in the registry's place.
func instead(n int64, which func(*http.Request) bool, answer http.HandlerFunc) between {
	return func(next http.Handler) http.Handler {
		var seen atomic.Int64
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if which(r) && seen.Add(1) == n {
				io.Copy(io.Discard, r.Body)
				answer(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func method(m string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == m && strings.Contains(r.URL.Path, "/blobs/uploads/") }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code) }
}

// least tells of a minimum for chunks, and keeps to it.
func least(size int64) between {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				w.Header().Set("OCI-Chunk-Min-Length", strconv.FormatInt(size, 10))
			}
			if r.Method == "PATCH" && r.ContentLength < size {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// meter counts the bytes of blobs, and the requests that bring them.
type meter struct {
	bytes, requests atomic.Int64
	mu              sync.Mutex
	methods         []string
}

func (m *meter) before(b between) between {
	return func(next http.Handler) http.Handler {
		h := b(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			m.mu.Lock()
			m.methods = append(m.methods, r.Method)
			m.mu.Unlock()
			if sends(r) {
				m.requests.Add(1)
				r.Body = io.NopCloser(io.TeeReader(r.Body, m))
			}
			h.ServeHTTP(w, r)
		})
	}
}

func (m *meter) Write(p []byte) (int, error) {
	m.bytes.Add(int64(len(p)))
	return len(p), nil
}
