package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/client"
	"shibafu.dev/step6-client/journal"
)

func blobOf(data []byte) oci.Descriptor {
	return oci.Descriptor{Digest: digest.FromBytes(data), Size: int64(len(data))}
}

const mib = 1 << 20

func TestPushBlob(t *testing.T) {
	for _, tt := range []struct {
		name     string
		between  between
		chunk    int64
		size     int
		requests int64 // that bring bytes, at most
		bytes    int64 // that arrive, at most
	}{
		{"whole", straight, 0, 3 * mib, 1, 3 * mib},
		{"empty", straight, 0, 0, 0, 0},
		{"one byte", straight, 0, 1, 1, 1},
		{"in chunks", straight, mib, 3*mib + 5, 4, 3*mib + 5},
		{"in chunks that come out even", straight, mib, 3 * mib, 3, 3 * mib},
		{"smaller than a chunk", straight, mib, 5, 1, 5},
		{"in chunks of the least size", least(2 * mib), mib, 4 * mib, 2, 4 * mib},
		{"too large for a proxy", tooLarge(300 << 10), 0, 3 * mib, 20, 3 * mib},
		{"longer than a proxy waits", buffered(300<<10, 504), 0, 3 * mib, 32, 6 * mib},
		{"longer than a proxy waits, in its way", buffered(300<<10, 502), 0, 3 * mib, 32, 6 * mib},
		{"longer than a proxy lives", buffered(300<<10, 0), 0, 3 * mib, 32, 6 * mib},
		{"cut again and again", cutAfter(700 << 10), 0, 8 * mib, 20, 9 * mib},
		{"cut, which the registry notices late", noticedLate(2 * mib), 0, 3 * mib, 2, 3*mib + 64<<10},
		{"answer to the start lost", lostAnswer(1, method("POST")), 0, mib, 1, mib},
		{"last answer lost", lostAnswer(1, method("PUT")), 0, mib, 1, mib},
		{"last answer lost, after chunks", lostAnswer(1, method("PUT")), mib / 2, mib, 2, mib},
		{"answer to a chunk lost", lostAnswer(2, method("PATCH")), mib / 2, 2 * mib, 4, 2 * mib},
		{"session lost", instead(2, method("PATCH"), status(404)), mib / 2, 2 * mib, 6, 3 * mib},
		{"session lost at its end", instead(1, method("PUT"), status(404)), mib / 2, mib, 4, 2 * mib},
		{"a chunk refused for where it is", instead(2, method("PATCH"), status(416)), mib / 2, 2 * mib, 5, 3 * mib},
		{"server error", instead(1, method("PUT"), status(500)), 0, mib, 2, 2 * mib},
		{"too many requests", instead(1, method("PUT"), status(429)), 0, mib, 2, 2 * mib},
		{"no way to look", instead(1, func(r *http.Request) bool { return r.Method == "HEAD" }, status(403)), 0, mib, 1, mib},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data, m := content(tt.size), new(meter)
			inBubble(t, m.before(tt.between), client.Options{Chunk: tt.chunk}, func(t *testing.T, c, direct *client.Client) {
				if err := c.PushBlob(t.Context(), aName, blobOf(data), client.BytesContent(data)); err != nil {
					t.Fatal(err)
				}
				has(t, direct, aName, data)
			})
			if m.requests.Load() > tt.requests || m.bytes.Load() > tt.bytes {
				t.Errorf("%d bytes in %d requests, want at most %d in %d", m.bytes.Load(), m.requests.Load(), tt.bytes, tt.requests)
			}
		})
	}
}

// What is there is not sent, and what another repository has is mounted.
func TestPushNothing(t *testing.T) {
	data, m := content(mib), new(meter)
	inBubble(t, m.before(straight), client.Options{}, func(t *testing.T, c, direct *client.Client) {
		push := func(name ref.Name, from ...ref.Name) {
			t.Helper()
			if err := c.PushBlob(t.Context(), name, blobOf(data), client.BytesContent(data), from...); err != nil {
				t.Fatal(err)
			}
		}
		push(aName)
		m.methods, m.bytes = nil, atomic.Int64{}
		push(aName)
		if got := fmt.Sprint(m.methods); got != "[HEAD]" {
			t.Errorf("asked %s for what is there", got)
		}
		m.methods = nil
		push(otherName, aName)
		if got := fmt.Sprint(m.methods); got != "[HEAD POST]" || m.bytes.Load() != 0 {
			t.Errorf("asked %s, sent %d bytes, to mount", got, m.bytes.Load())
		}
		has(t, direct, otherName, data)
		// A source without it gives a session, which is used.
		m.methods = nil
		push(ref.MustName("third"), ref.MustName("nobody"))
		if got := fmt.Sprint(m.methods); got != "[HEAD POST PUT]" {
			t.Errorf("asked %s where there is nothing to mount", got)
		}
	})
}

func TestPushGivesUp(t *testing.T) {
	data := content(mib)
	for _, tt := range []struct {
		name    string
		between between
		content client.Content
		want    error
	}{
		{"refused", instead(1, method("POST"), status(403)), nil, ocierr.Denied},
		{"never a start", always("POST", 503), nil, ocierr.InternalError},
		{"never an end", always("PUT", 503), nil, ocierr.InternalError},
		{"never a chunk small enough", tooLarge(100), nil, ocierr.SizeInvalid},
		{"no bytes at all", always("PATCH", 416), nil, ocierr.BlobUploadInvalid},
		{"sessions that are never known", always("PUT", 404), nil, ocierr.BlobUploadUnknown},
		{"other bytes", straight, client.BytesContent(content(mib + 2)[:mib]), digest.ErrMismatch},
		{"fewer bytes", straight, client.BytesContent(data[:5]), io.ErrUnexpectedEOF},
		{"bytes that cannot be read", straight, func(int64) (io.ReadCloser, error) { return nil, io.ErrNoProgress }, io.ErrNoProgress},
		{"bytes that end in an error", straight, func(int64) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(data[:5]), badDisk{})), nil
		}, io.ErrClosedPipe},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from := tt.content
			if from == nil {
				from = client.BytesContent(data)
			}
			opts := client.Options{}
			if tt.name == "no bytes at all" {
				opts.Chunk = mib / 2
			}
			inBubble(t, tt.between, opts, func(t *testing.T, c, direct *client.Client) {
				if err := c.PushBlob(t.Context(), aName, blobOf(data), from); !errors.Is(err, tt.want) {
					t.Errorf("%v, want %v", err, tt.want)
				}
				if _, err := direct.StatBlob(t.Context(), aName, digest.FromBytes(data)); err == nil {
					t.Error("the blob is there")
				}
			})
		})
	}
}

type badDisk struct{}

func (badDisk) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

func always(m string, code int) between {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if method(m)(r) {
				io.Copy(io.Discard, r.Body)
				w.WriteHeader(code)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// A server that says now this and now that of a session, or always the same, does
// not keep a client for ever.
func TestPushEnds(t *testing.T) {
	data := content(mib)
	for name, tt := range map[string]struct {
		patch int                 // the status of its answer to a chunk
		kept  func(n int64) int64 // what it says that it has, the n-th time
	}{
		"now this and now that": {503, func(n int64) int64 { return 100 + 100*(n%2) }},
		"always the same":       {202, func(int64) int64 { return 100 }},
		"a byte less each time": {503, func(n int64) int64 { return mib/2 - n }},
	} {
		t.Run(name, func(t *testing.T) {
			var n, requests atomic.Int64
			liar := func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					requests.Add(1)
					w.Header().Set("Location", "/v2/team/app/blobs/uploads/x")
					if r.Method != "POST" {
						w.Header().Set("Range", fmt.Sprintf("0-%d", tt.kept(n.Add(1))))
					}
					w.WriteHeader(map[string]int{"HEAD": 404, "POST": 202, "GET": 204, "PATCH": tt.patch, "PUT": 503}[r.Method])
				})
			}
			inBubble(t, liar, client.Options{Chunk: mib / 4}, func(t *testing.T, c, _ *client.Client) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				if err := c.PushBlob(ctx, aName, blobOf(data), client.BytesContent(data)); err == nil || ctx.Err() != nil || requests.Load() > 100 {
					t.Errorf("%v after %d requests", err, requests.Load())
				}
			})
		})
	}
}

func TestPushStream(t *testing.T) {
	data := content(mib)
	inBubble(t, straight, client.Options{}, func(t *testing.T, c, direct *client.Client) {
		d, size, err := c.PushStream(t.Context(), aName, digest.SHA512, bytes.NewReader(data))
		if err != nil || d != digest.SHA512.FromBytes(data) || size != mib {
			t.Fatal(d, size, err)
		}
		if got, err := direct.StatBlob(t.Context(), aName, d); err != nil || got != mib {
			t.Error(got, err)
		}
	})
}

// What fails is gone on with where the bytes can be read again, from where they were.
func TestPushStreamCut(t *testing.T) {
	data := content(4 * mib)
	once := func(next http.Handler) http.Handler {
		var cut atomic.Bool
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "PATCH" || cut.Swap(true) {
				next.ServeHTTP(w, r)
				return
			}
			r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, 3*mib), broken{}))
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		})
	}
	middle := bytes.NewReader(append([]byte("before"), data...))
	if _, err := middle.Seek(6, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		reader io.Reader
		works  bool
	}{
		{"can be read again", bytes.NewReader(data), true},
		{"from its middle", middle, true},
		{"can be read once", struct{ io.Reader }{bytes.NewReader(data)}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := new(meter)
			inBubble(t, m.before(once), client.Options{}, func(t *testing.T, c, direct *client.Client) {
				d, size, err := c.PushStream(t.Context(), aName, digest.SHA256, tt.reader)
				if works := err == nil; works != tt.works {
					t.Fatal(err)
				}
				if !tt.works {
					return
				}
				if d != digest.FromBytes(data) || size != int64(len(data)) {
					t.Errorf("%s, %d bytes", d, size)
				}
				has(t, direct, aName, data)
				if m.bytes.Load() > 5*mib {
					t.Errorf("%d bytes were sent", m.bytes.Load())
				}
			})
		})
	}
}

// Steps of a session, one by one.
func TestUpload(t *testing.T) {
	inBubble(t, straight, client.Options{}, func(t *testing.T, c, direct *client.Client) {
		ctx := t.Context()
		u, err := c.StartUpload(ctx, aName, digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Append(ctx, strings.NewReader("hello"), 5); err != nil || u.Size() != 5 {
			t.Fatal(u.Size(), err)
		}
		u, err = c.OpenUpload(ctx, aName, u.Location())
		if err != nil || u.Size() != 5 {
			t.Fatal(u, err)
		}
		if err := u.Append(ctx, strings.NewReader(" world"), -1); err != nil || u.Size() != 11 {
			t.Fatal(u.Size(), err)
		}
		if err := u.Commit(ctx, digestOf("hello world")); err != nil {
			t.Fatal(err)
		}
		has(t, direct, aName, []byte("hello world"))
		if err := u.Status(ctx); !errors.Is(err, ocierr.BlobUploadUnknown) {
			t.Errorf("status after the end: %v", err)
		}
		if err := u.Cancel(ctx); err != nil {
			t.Errorf("cancel after the end: %v", err)
		}
		u, err = c.StartUpload(ctx, aName, digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Cancel(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := c.OpenUpload(ctx, aName, u.Location()); !errors.Is(err, ocierr.BlobUploadUnknown) {
			t.Errorf("open after cancel: %v", err)
		}
	})
}

// killed pushes data until the registry has more than half of it, and dies.
func killed(t *testing.T, registry http.Handler, j *journal.Journal, data []byte) {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	c := startBubble(t, registry, client.Options{Journal: j, Chunk: mib, Progress: func(_ digest.Digest, done, size int64) {
		if done > size/2+mib {
			kill()
		}
	}})
	if err := c.PushBlob(ctx, aName, blobOf(data), client.BytesContent(data)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// tampered adds a byte from elsewhere to a session that is asked for by a URL which
// ends in "?tamper".
func tampered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" && r.URL.RawQuery == "tamper" {
			next.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("PATCH", r.URL.Path, strings.NewReader("x")))
		}
		next.ServeHTTP(w, r)
	})
}

// A push that was killed goes on where the registry has it, by another process. What
// is wrong with the journal's entry, or with the session, costs starting again.
func TestPushGoesOnAfterDeath(t *testing.T) {
	data := content(8 * mib)
	key := journal.Key{Registry: "http://registry.test", Name: aName, Digest: digest.FromBytes(data)}
	relocated := func(change func(string) string) func(*testing.T, *journal.Journal) {
		return func(t *testing.T, j *journal.Journal) {
			u, ok := j.Find(key)
			u.Location = change(u.Location)
			if err := j.Keep(u); err != nil || !ok {
				t.Fatal(u, ok, err)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, j *journal.Journal)
		most   int64 // bytes of the second push
	}{
		{"journal", func(*testing.T, *journal.Journal) {}, 4 * mib},
		{"no entry", func(_ *testing.T, j *journal.Journal) { j.Forget(key) }, 8 * mib},
		{"session that is over", relocated(func(s string) string { return s[:len(s)-12] + "000000000000" }), 8 * mib},
		{"session of another registry", relocated(func(string) string { return "https://10.0.0.1/upload" }), 8 * mib},
		{"other bytes in the session", relocated(func(s string) string { return s + "?tamper" }), 12 * mib},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, m := t.TempDir(), new(meter)
			synctest.Test(t, func(t *testing.T) {
				j, err := journal.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				whole := registry(t)
				killed(t, whole, j, data)
				tt.damage(t, j)
				c := startBubble(t, m.before(tampered)(whole), client.Options{Journal: j})
				if err := c.PushBlob(t.Context(), aName, blobOf(data), client.BytesContent(data)); err != nil {
					t.Fatal(err)
				}
				has(t, c, aName, data)
				if u, ok := j.Find(key); ok {
					t.Errorf("the journal still has %v", u)
				}
			})
			if m.bytes.Load() > tt.most {
				t.Errorf("sent %d bytes again, want at most %d", m.bytes.Load(), tt.most)
			}
		})
	}
}

// A session that cannot be asked for just now is not given up.
func TestPushKeepsTheJournal(t *testing.T) {
	data, dir, m := content(4*mib), t.TempDir(), new(meter)
	synctest.Test(t, func(t *testing.T) {
		j, err := journal.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		whole := registry(t)
		killed(t, whole, j, data)
		for _, code := range []int{503, 0, 200} {
			b := between(straight)
			switch code {
			case 503:
				b = answered(method("GET"), status(code))
			case 0:
				b = answered(method("GET"), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
			}
			c := startBubble(t, m.before(b)(whole), client.Options{Journal: j})
			if err := c.PushBlob(t.Context(), aName, blobOf(data), client.BytesContent(data)); (err == nil) != (code == 200) {
				t.Errorf("%d: %v", code, err)
			}
		}
	})
	if m.bytes.Load() > 2*mib {
		t.Errorf("sent %d bytes again", m.bytes.Load())
	}
}
