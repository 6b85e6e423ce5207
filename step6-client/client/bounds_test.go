package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step6-client/client"
	"shibafu.dev/step6-client/wire"
)

// requests are the ways to ask a registry for something, each with how much of an
// answer it may take in, in bytes.
var requests = []struct {
	name string
	most int64
	ask  func(ctx context.Context, c *client.Client) error
}{
	{"ping", 128 << 10, func(ctx context.Context, c *client.Client) error { return c.Ping(ctx) }},
	{"manifest", 5 << 20, func(ctx context.Context, c *client.Client) error {
		_, _, err := c.Manifest(ctx, aName, tag("x"))
		return err
	}},
	{"tags", 9 << 20, func(ctx context.Context, c *client.Client) error {
		_, _, err := c.Tags(ctx, aName, "", client.All)
		return err
	}},
	{"repositories", 9 << 20, func(ctx context.Context, c *client.Client) error {
		_, _, err := c.Repositories(ctx, "", client.All)
		return err
	}},
	{"referrers", 9 << 20, func(ctx context.Context, c *client.Client) error {
		_, _, err := c.Referrers(ctx, aName, digestOf("x"), "", digest.Digest{}, 10, 1000)
		return err
	}},
	{"blob", 3 << 20, func(ctx context.Context, c *client.Client) error {
		return c.PullBlob(ctx, aName, blobOf(content(2<<20)), cas.New(mem.New(), cas.OCI))
	}},
	{"push of a manifest", 128 << 10, func(ctx context.Context, c *client.Client) error {
		return c.PushManifest(ctx, aName, image(""))
	}},
	{"push of a blob", 256 << 10, func(ctx context.Context, c *client.Client) error {
		return c.PushBlob(ctx, aName, blobOf(content(10)), client.BytesContent(content(10)))
	}},
	{"mount", 128 << 10, func(ctx context.Context, c *client.Client) error {
		return c.MountBlob(ctx, aName, otherName, digestOf("x"))
	}},
	{"deletion of a manifest", 5 << 20, func(ctx context.Context, c *client.Client) error {
		return c.DeleteManifest(ctx, aName, digestOf("x"))
	}},
	{"deletion of a tag", 128 << 10, func(ctx context.Context, c *client.Client) error {
		return c.DeleteTag(ctx, aName, ref.MustTag("x"))
	}},
	{"deletion of a blob", 128 << 10, func(ctx context.Context, c *client.Client) error { return c.DeleteBlob(ctx, aName, digestOf("x")) }},
}

// No answer without an end is read to see whether it has one, be it a success, an
// error, or one that lies about its length.
func TestAnswersWithoutEnd(t *testing.T) {
	for _, kind := range []struct {
		name   string
		status int
		length string
	}{{"success", 200, ""}, {"created", 201, ""}, {"error", 400, ""}, {"success of a length", 200, "9223372036854775807"}, {"error of a length", 404, "9223372036854775807"}} {
		for _, r := range requests {
			t.Run(kind.name+" to "+r.name, func(t *testing.T) {
				var sent atomic.Int64
				server := func(http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						io.Copy(io.Discard, r.Body)
						w.Header().Set("Content-Type", "application/json")
						if kind.length != "" {
							w.Header().Set("Content-Length", kind.length)
						}
						w.WriteHeader(kind.status)
						for some := bytes.Repeat([]byte(" "), 16<<10); r.Method != "HEAD"; {
							n, err := w.Write(some)
							if sent.Add(int64(n)); err != nil {
								return
							}
						}
					})
				}
				inBubble(t, server, impatient, func(t *testing.T, c, _ *client.Client) {
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					r.ask(ctx, c)
					if ctx.Err() != nil {
						t.Error("it went on for an hour")
					}
				})
				if sent.Load() > r.most {
					t.Errorf("%d bytes were taken in, want at most %d", sent.Load(), r.most)
				}
			})
		}
	}
}

// Nor is one waited for that comes byte by byte, for longer than a coffee takes.
func TestAnswersThatDribble(t *testing.T) {
	dribble := func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write([]byte(" ")); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-time.After(10 * time.Second):
			case <-r.Context().Done():
				return
			}
		}
	}
	inBubble(t, answered(manifests("GET"), dribble), impatient, func(t *testing.T, c, _ *client.Client) {
		start := time.Now()
		_, _, err := c.Manifest(t.Context(), aName, tag("x"))
		if took := time.Since(start); !errors.Is(err, wire.ErrStalled) || took != 10*time.Minute {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// A blob costs no memory that grows with it: all that is allocated for one of 64 MiB
// is a small part of that.
func TestMemory(t *testing.T) {
	const size = 64 * mib
	data := content(size)
	d := blobOf(data)
	host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case "GET":
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		case "POST":
			w.Header().Set("Location", "/upload")
			w.WriteHeader(202)
		case "PUT", "PATCH":
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(201)
		default:
			w.WriteHeader(404)
		}
	}))
	allocated := func(f func() error) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := f(); err != nil {
			t.Error(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	for name, ranges := range map[string]int{"one stream": 1, "ranges": 4} {
		t.Run("pull by "+name, func(t *testing.T) {
			files, err := dir.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer files.Close()
			c := newClient(t, host, client.Options{Ranges: ranges, RangeSize: 2 * mib})
			if n := allocated(func() error { return c.PullBlob(t.Context(), aName, d, cas.New(files, cas.OCI)) }); n > 24*mib {
				t.Errorf("%d MiB allocated", n/mib)
			}
		})
	}
	t.Run("push", func(t *testing.T) {
		c := newClient(t, host, client.Options{})
		if n := allocated(func() error { return c.PushBlob(t.Context(), aName, d, client.BytesContent(data)) }); n > 8*mib {
			t.Errorf("%d MiB allocated", n/mib)
		}
	})
}
