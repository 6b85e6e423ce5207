package ratelimithttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/pullhttp"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/password"
	"shibafu.dev/step7-security/policy"
	"shibafu.dev/step7-security/policyhttp"
	"shibafu.dev/step7-security/ratelimit"
	"shibafu.dev/step7-security/ratelimithttp"
)

var quiet = slog.New(slog.DiscardHandler)

// sources tells who is asking from the header "Who", else from the address.
func sources(l ratelimit.Limits) ratelimithttp.Sources {
	return ratelimithttp.Sources{
		Identity:   func(ctx context.Context) string { who, _ := ctx.Value(whoKey{}).(string); return who },
		Identities: ratelimit.New(l, 100),
		Address: func(r *http.Request) netip.Addr {
			from, err := netip.ParseAddrPort(r.RemoteAddr)
			if err != nil {
				return netip.Addr{}
			}
			return from.Addr()
		},
		Addresses: ratelimit.New(l, 100),
	}
}

type whoKey struct{}

func request(method, path, who, from string, body io.Reader) *http.Request {
	r := httptest.NewRequest(method, path, body)
	r.RemoteAddr = from
	return r.WithContext(context.WithValue(r.Context(), whoKey{}, who))
}

var parts = strings.NewReplacer("{name}", "a", "{digest}", digest.FromBytes(nil).String(), "{reference}", "v1",
	"{session}", "00000000-0000-4000-8000-000000000000")

// Which endpoints go on with what was begun, and are never refused.
func TestWhatIsRefused(t *testing.T) {
	patient := map[*endpoint.Endpoint]bool{
		endpoint.UploadChunk: true, endpoint.FinishUpload: true, endpoint.UploadStatus: true, endpoint.CancelUpload: true, endpoint.PushManifest: true,
	}
	for e := range endpoint.All() {
		t.Run(e.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mux := api.NewMux(quiet)
				mux.Use(ratelimithttp.Middleware(sources(ratelimit.Limits{Requests: ratelimit.Rate{PerSecond: 0.1, Burst: 1}, Queue: 1, Wait: time.Second})))
				mux.Handle(e, func(w http.ResponseWriter, r *http.Request) error { return nil })
				ask := func() *httptest.ResponseRecorder {
					w := httptest.NewRecorder()
					mux.ServeHTTP(w, request(e.Methods[0], parts.Replace(e.Pattern), "ann", "192.0.2.1:1", nil))
					return w
				}
				begin := time.Now()
				ask()
				w := ask()
				waited := time.Since(begin).Round(time.Second)
				if patient[e] && (w.Code != http.StatusOK || waited != 10*time.Second) {
					t.Errorf("%d after %v: it was refused half-way", w.Code, waited)
				}
				if !patient[e] && (w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "10" || !strings.Contains(w.Body.String(), string(ocierr.TooManyRequests))) {
					t.Errorf("%d %s, Retry-After %q", w.Code, w.Body, w.Header().Get("Retry-After"))
				}
			})
		})
	}
}

func TestSources(t *testing.T) {
	type from struct{ who, addr string }
	tests := []struct {
		name     string
		one, two from
		same     bool
		reason   string
	}{
		{"an identity from anywhere", from{"ann", "192.0.2.1:1"}, from{"ann", "192.0.2.2:1"}, true, ""},
		{"two behind one address", from{"ann", "192.0.2.1:1"}, from{"bob", "192.0.2.1:1"}, false, ""},
		{"nobody beside somebody", from{"", "192.0.2.1:1"}, from{"bob", "192.0.2.1:1"}, false, ""},
		{"nobody, twice", from{"", "192.0.2.1:1"}, from{"", "192.0.2.1:2"}, true, "the port is not the source"},
		{"nobody, two addresses", from{"", "192.0.2.1:1"}, from{"", "192.0.2.2:1"}, false, ""},
		{"one network", from{"", "[2001:db8::1]:1"}, from{"", "[2001:db8::2:3:4:5]:1"}, true, "/64"},
		{"two networks", from{"", "[2001:db8:0:1::1]:1"}, from{"", "[2001:db8:0:2::1]:1"}, false, ""},
		{"an identity called like an address", from{"192.0.2.1", "192.0.2.9:1"}, from{"", "192.0.2.1:1"}, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mux := api.NewMux(quiet)
			mux.Use(ratelimithttp.Middleware(sources(ratelimit.Limits{Requests: ratelimit.Rate{PerSecond: 0.001, Burst: 1}})))
			mux.Handle(endpoint.Base, api.Base)
			mux.ServeHTTP(httptest.NewRecorder(), request("GET", "/v2/", tt.one.who, tt.one.addr, nil))
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, request("GET", "/v2/", tt.two.who, tt.two.addr, nil))
			if same := w.Code == http.StatusTooManyRequests; same != tt.same {
				t.Errorf("the second got %d (%s)", w.Code, tt.reason)
			}
		})
	}
}

func TestAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := ratelimithttp.Attempts{
			Failures: ratelimit.NewFailures(ratelimit.Rate{PerSecond: 0.1, Burst: 2}, 1, time.Second, 10),
			Address:  func(ctx context.Context) netip.Addr { a, _ := ctx.Value(whoKey{}).(netip.Addr); return a },
		}
		from := func(text string) context.Context {
			return context.WithValue(t.Context(), whoKey{}, netip.MustParseAddr(text))
		}
		here := from("2001:db8::1")
		for range 2 {
			done, err := attempts.Attempt(here)
			if err != nil {
				t.Fatal(err)
			}
			done(false)
		}
		_, err := attempts.Attempt(from("2001:db8::2"))
		e, known := ocierr.From(err)
		if !known || e.Status != http.StatusTooManyRequests || !strings.HasSuffix(e.Message, "try again in 9 seconds") {
			t.Errorf("from the same network: %v", err)
		}
		if _, err := attempts.Attempt(from("2001:db8:0:1::1")); err != nil {
			t.Errorf("from another: %v", err)
		}
		gone, stop := context.WithCancel(here)
		stop()
		if _, err := attempts.Attempt(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("for who is gone: %v", err)
		}
	})
}

// Wrong passwords that come at once are counted before any of them is known to be wrong.
func TestGuessesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tried atomic.Int64
		users := filepath.Join(t.TempDir(), "users.json")
		if err := auth.Edit(users, func(d *auth.Directory) error {
			hash, err := password.Parse("$pbkdf2-sha256$1000$8PHy8/T19vf4.fr7/P3./w$JwgcbJZlHBoE0uPBMy9SZsCsIJXsYLx/8XwH97PVwMU")
			return errors.Join(err, d.SetUser("alice", hash))
		}); err != nil {
			t.Fatal(err)
		}
		accounts, err := auth.Open(auth.Options{File: users, Concurrent: 4,
			Attempts: ratelimithttp.Attempts{
				Failures: ratelimit.NewFailures(ratelimit.Rate{PerSecond: 0.1, Burst: 10}, 5, time.Second, 10),
				Address:  func(context.Context) netip.Addr { return netip.MustParseAddr("192.0.2.1") },
			},
			Matches: func(password.Hash, string) bool {
				tried.Add(1)
				time.Sleep(100 * time.Millisecond)
				return false
			}})
		if err != nil {
			t.Fatal(err)
		}
		results := make(chan error)
		for i := range 20 {
			go func() {
				_, err := accounts.Verify(t.Context(), "alice", fmt.Sprint("guess ", i))
				results <- err
			}()
		}
		wrong, refused := 0, 0
		for range 20 {
			switch err := <-results; {
			case errors.Is(err, auth.ErrCredentials):
				wrong++
			case errors.Is(err, ocierr.TooManyRequests):
				refused++
			default:
				t.Error(err)
			}
		}
		if wrong != 10 || refused != 10 || tried.Load() != 10 {
			t.Errorf("%d wrong, %d refused, %d tried; want 10 of each", wrong, refused, tried.Load())
		}
	})
}

// Bodies and responses of any kind take as long as they should, and stop when the
// client is gone.
func TestBytes(t *testing.T) {
	const mega = 1 << 20
	content := strings.Repeat("x", 4*mega)
	handlers := map[string]api.Handler{
		"body": func(w http.ResponseWriter, r *http.Request) error {
			n, err := io.Copy(io.Discard, r.Body)
			if n != 4*mega && err == nil {
				err = fmt.Errorf("%d bytes", n)
			}
			return err
		},
		"written": func(w http.ResponseWriter, r *http.Request) error {
			_, err := io.WriteString(w, content)
			return err
		},
		"copied": func(w http.ResponseWriter, r *http.Request) error {
			_, err := io.Copy(w, strings.NewReader(content))
			return err
		},
		"limited": func(w http.ResponseWriter, r *http.Request) error {
			limited := &io.LimitedReader{R: strings.NewReader(content + content), N: 4 * mega}
			_, err := w.(io.ReaderFrom).ReadFrom(limited)
			if err == nil && limited.N != 0 {
				return fmt.Errorf("%d are left", limited.N)
			}
			return err
		},
	}
	for name, h := range handlers {
		for _, gone := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, gone %v", name, gone), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var result error
					wrapped := ratelimithttp.Middleware(sources(ratelimit.Limits{Bytes: ratelimit.Rate{PerSecond: mega, Burst: mega}}))(endpoint.UploadChunk, h)
					w := httptest.NewRecorder()
					r := request("PATCH", "/", "ann", "192.0.2.1:1", iotest.HalfReader(strings.NewReader(content)))
					if gone {
						ctx, stop := context.WithTimeout(r.Context(), time.Second)
						defer stop()
						r = r.WithContext(ctx)
					}
					begin := time.Now()
					result = wrapped(w, r)
					took := time.Since(begin)
					switch {
					case gone && (!errors.Is(result, context.DeadlineExceeded) || took != time.Second):
						t.Errorf("%v after %v", result, took)
					case !gone && (result != nil || took < 5*time.Second/2 || took > 3*time.Second):
						t.Errorf("%v after %v", result, took)
					case !gone && name != "body" && w.Body.Len() != 4*mega:
						t.Errorf("%d bytes arrived", w.Body.Len())
					}
				})
			})
		}
	}
}

// watched is a listener whose connections note what they are asked to send with
// ReadFrom, the call behind which the kernel sends files.
type watched struct {
	net.Listener
	sent   int64
	faults []string
}

type watchedConn struct {
	*net.TCPConn
	ln *watched
}

func (ln *watched) Accept() (net.Conn, error) {
	c, err := ln.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{c.(*net.TCPConn), ln}, nil
}

func (c *watchedConn) ReadFrom(src io.Reader) (int64, error) {
	limited, ok := src.(*io.LimitedReader)
	if !ok {
		c.ln.faults = append(c.ln.faults, fmt.Sprintf("%T is sent without a limit", src))
	} else if _, ok := limited.R.(syscall.Conn); !ok {
		c.ln.faults = append(c.ln.faults, fmt.Sprintf("behind one limit there is %T, which is no file", limited.R))
	}
	n, err := c.TCPConn.ReadFrom(src)
	c.ln.sent += n
	return n, err
}

// everything is a Decider that allows all.
type everything struct{}

func (everything) Decide(context.Context, ref.Name, policy.Action) policy.Decision {
	return policy.Decision{Allowed: true}
}

// A blob is still sent by the kernel, through rights and limits.
func TestBlobsAreSentByTheKernel(t *testing.T) {
	files, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	store := cas.New(files, cas.Distribution)
	content := strings.Repeat("0123456789abcdef", 200_000) + "the end"
	d, _, err := store.Put(t.Context(), strings.NewReader(content), digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	for _, rate := range []float64{1e9, 1e8} {
		mux := api.NewMux(quiet)
		mux.Use(ratelimithttp.Middleware(sources(ratelimit.Limits{Bytes: ratelimit.Rate{PerSecond: rate, Burst: 100_000}, AtOnce: 1})),
			policyhttp.Middleware(everything{}, func(context.Context) bool { return true }))
		pullhttp.RegisterBlobs(mux, pullhttp.Bare{Store: store})
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln := &watched{Listener: tcp}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- api.Serve(ctx, ln, mux, api.Limits{}, quiet) }()
		resp, err := http.Get("http://" + ln.Addr().String() + "/v2/a/blobs/" + d.String())
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		stop()
		if served := <-served; err != nil || served != nil || string(body) != content {
			t.Errorf("%v, %v, %d bytes", err, served, len(body))
		}
		// Before the header has gone net/http copies the first 512 bytes by hand.
		if want := int64(len(content) - 512); ln.sent != want || len(ln.faults) > 0 {
			t.Errorf("%d bytes sent as a file, want %d; %q", ln.sent, want, ln.faults)
		}
	}
}

// What rights and limits add to a request for something small.
func BenchmarkChain(b *testing.B) {
	for _, name := range []string{"bare", "rights and limits"} {
		b.Run(name, func(b *testing.B) {
			mux := api.NewMux(quiet)
			if name != "bare" {
				mux.Use(ratelimithttp.Middleware(sources(ratelimit.Limits{Requests: ratelimit.Rate{PerSecond: 1e9, Burst: 1e9}, Bytes: ratelimit.Rate{PerSecond: 1e12, Burst: 1e12}, AtOnce: 10})),
					policyhttp.Middleware(everything{}, func(context.Context) bool { return true }))
			}
			mux.Handle(endpoint.PullManifest, func(w http.ResponseWriter, r *http.Request) error {
				return api.WriteJSON(w, "application/json", struct{}{})
			})
			r := request("GET", "/v2/team/app/manifests/v1", "ann", "192.0.2.1:1", nil)
			b.ReportAllocs()
			for b.Loop() {
				mux.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
