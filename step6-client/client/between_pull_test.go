package client_test

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// pulls tells whether a request asks for the bytes of a blob.
func pulls(r *http.Request) bool {
	return r.Method == "GET" && strings.Contains(r.URL.Path, "/blobs/sha256:")
}

// answers wraps the response to each request for a blob.
func answers(wrap func(http.ResponseWriter, *http.Request) http.ResponseWriter) between {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if pulls(r) {
				w = wrap(w, r)
			}
			next.ServeHTTP(w, r)
		})
	}
}

// writer is a response whose body passes through write.
type writer struct {
	http.ResponseWriter
	write func(p []byte) []byte
}

func (w *writer) Write(p []byte) (int, error) {
	if _, err := w.ResponseWriter.Write(w.write(bytes.Clone(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// cutAnswers cuts each answer after so many bytes, and passes on what came till then.
func cutAnswers(most int) between {
	return answers(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		left := most
		return &writer{w, func(p []byte) []byte {
			if len(p) >= left {
				w.Write(p[:left])
				http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
			left -= len(p)
			return p
		}}
	})
}

// flipped changes one bit of the byte that is that far into each answer.
func flipped(at int) between {
	return answers(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		seen := 0
		return &writer{w, func(p []byte) []byte {
			if i := at - seen; i >= 0 && i < len(p) {
				p[i] ^= 1
			}
			seen += len(p)
			return p
		}}
	})
}

// slowed takes so long, of a bubble's time, for each piece of an answer.
func slowed(pause time.Duration) between {
	return answers(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
		return &writer{w, func(p []byte) []byte { time.Sleep(pause); return p }}
	})
}

// slow is so slow that several ranges at once are faster.
func slow(next http.Handler) http.Handler { return slowed(time.Millisecond)(next) }

// both is one behind the other.
func both(a, b between) between {
	return func(next http.Handler) http.Handler { return a(b(next)) }
}

// noRanges does not look at Range.
func noRanges(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range")
		next.ServeHTTP(w, r)
	})
}

// reader counts the bytes of blobs that are sent, and how many answers there are at
// once.
type reader struct {
	bytes, requests atomic.Int64
	mu              sync.Mutex
	now, most       int
}

func (m *reader) before(b between) between {
	return func(next http.Handler) http.Handler {
		h := b(answers(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
			return &writer{w, func(p []byte) []byte { m.bytes.Add(int64(len(p))); return p }}
		})(next))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if pulls(r) {
				m.requests.Add(1)
				m.mu.Lock()
				m.now++
				m.most = max(m.most, m.now)
				m.mu.Unlock()
				time.Sleep(10 * time.Millisecond) // of the bubble's time: until all that can be are under way
				defer func() {
					m.mu.Lock()
					m.now--
					m.mu.Unlock()
				}()
			}
			h.ServeHTTP(w, r)
		})
	}
}

// once is first for one answer with bytes, and then stands aside; base is always
// there.
func once(first, base between) between {
	return func(next http.Handler) http.Handler {
		var used atomic.Bool
		next = base(next)
		broken := first(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if pulls(r) && !used.Swap(true) {
				broken.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// header sets one of an answer's headers.
func header(name, value string) between {
	return answers(func(w http.ResponseWriter, r *http.Request) http.ResponseWriter { return &headered{w, name, value} })
}

type headered struct {
	http.ResponseWriter
	name, value string
}

func (w *headered) WriteHeader(status int) {
	w.Header().Set(w.name, w.value)
	w.ResponseWriter.WriteHeader(status)
}

// replaced answers with other bytes.
func replaced(data []byte) between {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if pulls(r) {
				w.Header().Set("Content-Length", strconv.Itoa(len(data)))
				w.Write(data)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// streamed is replaced, without saying how much there is.
func streamed(data []byte) between {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if pulls(r) {
				http.NewResponseController(w).Flush()
				w.Write(data)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// endless answers with bytes that do not end.
func endless(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !pulls(r) {
			next.ServeHTTP(w, r)
			return
		}
		for some := make([]byte, 64<<10); ; {
			if _, err := w.Write(some); err != nil {
				return
			}
		}
	})
}
