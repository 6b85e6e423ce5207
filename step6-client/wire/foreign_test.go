package wire_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"shibafu.dev/step6-client/credential"
	"shibafu.dev/step6-client/wire"
)

// secret is what must not leave.
const secret = "swordfish"

var user = credential.Fixed{Username: "u", Password: secret}

// listener is a server on a port of its own that notes all that it hears.
type listener struct {
	*httptest.Server
	mu    sync.Mutex
	heard []string
}

func listen(t *testing.T, secure bool, h http.HandlerFunc) *listener {
	t.Helper()
	l := &listener{}
	l.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var text bytes.Buffer
		fmt.Fprintf(&text, "%s %s\n", r.Method, r.RequestURI)
		r.Header.Write(&text)
		body := new(bytes.Buffer)
		body.ReadFrom(r.Body)
		l.mu.Lock()
		l.heard = append(l.heard, text.String()+body.String())
		l.mu.Unlock()
		r.Body = io.NopCloser(body)
		if h != nil {
			h(w, r)
		}
	}))
	l.Config.ErrorLog = log.New(t.Output(), "", 0)
	if secure {
		l.StartTLS()
	} else {
		l.Start()
	}
	t.Cleanup(l.Close)
	return l
}

func (l *listener) host() string {
	return strings.TrimPrefix(strings.TrimPrefix(l.URL, "http://"), "https://")
}

// requests is how many it heard; it fails the test if one has what is secret.
func (l *listener) requests(t *testing.T) int {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.heard {
		for _, word := range []string{"Authorization", "Cookie", secret, "token=", "T0KEN", "dTpzd29yZGZpc2g"} {
			if strings.Contains(r, word) {
				t.Errorf("heard %q in %q", word, r)
			}
		}
	}
	return len(l.heard)
}

// caFile is the certificate of servers of httptest, in a file.
func caFile(t *testing.T, l *listener) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	raw := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.Certificate().Raw})
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func connect(t *testing.T, l *listener, opts wire.Options) *wire.Conn {
	t.Helper()
	opts.Retries = -1
	if strings.HasPrefix(l.URL, "https") {
		opts.Scheme = "https"
		if opts.CAFile == "" {
			opts.CAFile = caFile(t, l)
		}
	}
	c, err := wire.New(l.host(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func requestTo(l *listener, path string) *wire.Request {
	u, err := url.Parse(l.URL + path)
	if err != nil {
		panic(err)
	}
	return &wire.Request{Method: "GET", URL: u}
}

// asking wraps a handler in what wants Basic credentials.
func asking(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if name, password, _ := r.BasicAuth(); name != "u" || password != secret {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: secret})
		h(w, r)
	}
}

// CVE-2020-15157, CVE-2019-10214, CVE-2021-41092: no redirect takes credentials
// along, be it to another host, another port, or another scheme.
func TestRedirectTakesNothingAlong(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		for _, tt := range []struct {
			name   string
			target func(l *listener) string
			heard  int
			want   error
		}{
			{"other port", func(l *listener) string { return l.URL + "/blob" }, 1, nil},
			{"other host", func(l *listener) string { return strings.Replace(l.URL, "127.0.0.1", "localhost", 1) + "/blob" }, 1, nil},
			{"no scheme", func(l *listener) string { return "//" + l.host() + "/blob" }, 1, nil},
			{"user in the URL", func(l *listener) string { return "http://u:" + secret + "@" + l.host() + "/blob" }, 0, wire.ErrOrigin},
			{"other scheme", func(l *listener) string { return "ftp://" + l.host() }, 0, wire.ErrOrigin},
			{"metadata of a cloud", func(*listener) string { return "http://169.254.169.254/latest" }, 0, wire.ErrAddress},
			{"nowhere", func(*listener) string { return "" }, 0, wire.ErrRedirect},
			{"backslash", func(l *listener) string { return `/\` + l.host() }, 0, wire.ErrRedirect},
		} {
			t.Run(fmt.Sprint(code, " ", tt.name), func(t *testing.T) {
				other := listen(t, false, nil)
				registry := listen(t, false, asking(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Location", tt.target(other))
					w.WriteHeader(code)
				}))
				resp, err := connect(t, registry, wire.Options{Credentials: user}).Do(t.Context(), requestTo(registry, "/v2/a/blobs/x?token="+secret))
				wire.Discard(resp)
				if heard := other.requests(t); heard != tt.heard || !errors.Is(err, tt.want) {
					t.Errorf("heard %d requests, want %d; %v", heard, tt.heard, err)
				}
			})
		}
	}
}

// Once it was left, the registry gets no credentials from that request any more:
// where to go was another one's choice.
func TestRedirectBackTakesNothingAlong(t *testing.T) {
	var registry *listener
	other := listen(t, false, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, registry.URL+"/v2/other", 307) })
	var back string
	registry = listen(t, false, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/other" {
			back = r.Header.Get("Authorization")
			return
		}
		asking(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, 307) })(w, r)
	})
	resp, err := connect(t, registry, wire.Options{Credentials: user}).Do(t.Context(), requestTo(registry, "/v2/"))
	wire.Discard(resp)
	if err != nil || back != "" || other.requests(t) != 1 {
		t.Errorf("%v, back with %q", err, back)
	}
}

// A redirect within the registry keeps what it needs; a loop of them ends.
func TestRedirectAtHome(t *testing.T) {
	registry := listen(t, false, asking(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/there" {
			return
		}
		http.Redirect(w, r, map[string]string{"/here": "/there", "/loop": "/loop"}[r.URL.Path], 307)
	}))
	c := connect(t, registry, wire.Options{Credentials: user})
	resp, err := c.Do(t.Context(), requestTo(registry, "/here"))
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("%v, %v", resp, err)
	}
	wire.Discard(resp)
	if _, err := c.Do(t.Context(), requestTo(registry, "/loop")); !errors.Is(err, wire.ErrRedirect) {
		t.Errorf("loop: %v", err)
	}
}

// A body goes where it is asked to go only if the method goes there too.
func TestRedirectOfBody(t *testing.T) {
	for _, tt := range []struct {
		code, heard int
		want        error
	}{{301, 0, wire.ErrRedirect}, {302, 0, wire.ErrRedirect}, {303, 0, wire.ErrRedirect}, {307, 1, nil}, {308, 1, nil}} {
		t.Run(fmt.Sprint(tt.code), func(t *testing.T) {
			other := listen(t, false, nil)
			registry := listen(t, false, asking(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, tt.code) }))
			r := requestTo(registry, "/v2/")
			r.Method, r.Length = "PUT", 5
			r.Body = func() (io.ReadCloser, error) { return io.NopCloser(&fiveBytes{}), nil }
			resp, err := connect(t, registry, wire.Options{Credentials: user}).Do(t.Context(), r)
			wire.Discard(resp)
			if heard := other.requests(t); heard != tt.heard || !errors.Is(err, tt.want) {
				t.Errorf("heard %d, %v", heard, err)
			}
			if tt.heard > 0 && !strings.HasSuffix(other.heard[0], "abcde") {
				t.Errorf("the body is missing in %q", other.heard[0])
			}
		})
	}
}

// From https nobody goes back to http, not even on the same host.
func TestNoWayBackToHTTP(t *testing.T) {
	other := listen(t, false, nil)
	registry := listen(t, true, asking(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, 307) }))
	_, err := connect(t, registry, wire.Options{Credentials: user}).Do(t.Context(), requestTo(registry, "/v2/"))
	if heard := other.requests(t); heard != 0 || !errors.Is(err, wire.ErrOrigin) {
		t.Errorf("heard %d, %v", heard, err)
	}
}

// Another server that asks for credentials in the registry's place gets none.
func TestForeignChallenge(t *testing.T) {
	for _, scheme := range []string{"Basic", "Bearer"} {
		t.Run(scheme, func(t *testing.T) {
			other := listen(t, false, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("WWW-Authenticate", scheme+` realm="http://`+r.Host+`/t"`)
				w.WriteHeader(401)
			})
			registry := listen(t, false, asking(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, 307) }))
			resp, err := connect(t, registry, wire.Options{Credentials: user}).Do(t.Context(), requestTo(registry, "/v2/"))
			if err != nil || resp.StatusCode != 401 || other.requests(t) != 1 {
				t.Errorf("%v, %v", resp, err)
			}
			wire.Discard(resp)
		})
	}
}

// CVE-2026-48978 and its kin: a registry on the internet sends nobody to addresses
// inside, written as an address or behind a name.
func TestNoWayInside(t *testing.T) {
	for name, target := range map[string]string{
		"this machine": "http://127.0.0.1:PORT/", "this machine, elsewhere": "http://127.8.8.8:PORT/", "zero": "http://0.0.0.0:PORT/", "IPv6 zero": "http://[::]:PORT/",
		"IPv6": "http://[::1]:PORT/", "mapped": "http://[::ffff:127.0.0.1]:PORT/", "mapped, in hex": "http://[::ffff:7f00:1]:PORT/",
		"private": "http://10.0.0.1/", "shared": "http://100.64.0.1/", "unique local": "http://[fd00::1]/", "link-local": "http://169.254.169.254/",
		"IPv6 link-local": "http://[fe80::1]/", "NAT64": "http://[64:ff9b::a9fe:a9fe]/", "a name": "http://localhost:PORT/",
	} {
		for _, way := range []string{"redirect", "realm", "redirect of an upload"} {
			t.Run(way+" to "+name, func(t *testing.T) {
				inside := listen(t, false, nil)
				_, port, _ := strings.Cut(inside.host(), ":")
				target := strings.Replace(target, "PORT", port, 1)
				registry := listen(t, false, func(w http.ResponseWriter, r *http.Request) {
					if way == "realm" {
						w.Header().Set("WWW-Authenticate", `Bearer realm="`+strings.Replace(target, "http:", "https:", 1)+`"`)
						w.WriteHeader(401)
						return
					}
					http.Redirect(w, r, target, 307)
				})
				c := connect(t, registry, wire.Options{Credentials: user})
				c.OnTheInternet()
				r := requestTo(registry, "/v2/")
				if way == "redirect of an upload" {
					r.Method, r.Length = "PUT", 5
					r.Body = func() (io.ReadCloser, error) { return io.NopCloser(&fiveBytes{}), nil }
				}
				_, err := c.Do(t.Context(), r)
				if heard := inside.requests(t); heard != 0 || !errors.Is(err, wire.ErrAddress) {
					t.Errorf("heard %d, %v", heard, err)
				}
			})
		}
	}
}

// A certificate that does not fit ends it on every way: to the registry, by its
// redirect, at its token server.
func TestCertificates(t *testing.T) {
	stranger := listen(t, true, nil)
	// All servers of httptest have one certificate, for this name and not for localhost.
	wrongName := strings.Replace(stranger.URL, "127.0.0.1", "localhost", 1)
	for _, tt := range []struct {
		name   string
		answer func(w http.ResponseWriter, r *http.Request)
	}{
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, wrongName, 307) }},
		{"realm", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+wrongName+`"`)
			w.WriteHeader(401)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			registry := listen(t, true, tt.answer)
			_, err := connect(t, registry, wire.Options{Credentials: user}).Do(t.Context(), requestTo(registry, "/v2/"))
			if heard := stranger.requests(t); heard != 0 || err == nil || !strings.Contains(err.Error(), "certificate") {
				t.Errorf("heard %d, %v", heard, err)
			}
		})
	}
	t.Run("registry", func(t *testing.T) {
		c, err := wire.New(stranger.host(), wire.Options{Scheme: "https"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Do(t.Context(), requestTo(stranger, "/v2/")); err == nil || stranger.requests(t) != 0 {
			t.Errorf("%v", err)
		}
	})
	t.Run("told to take any", func(t *testing.T) {
		c, err := wire.New(stranger.host(), wire.Options{Scheme: "https", SkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		resp, err := c.Do(t.Context(), requestTo(stranger, "/v2/"))
		wire.Discard(resp)
		if err != nil {
			t.Error(err)
		}
	})
}
