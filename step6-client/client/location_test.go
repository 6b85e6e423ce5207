package client_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/client"
	"shibafu.dev/step6-client/wire"
)

// CVE-2026-49349 and its kin: a Location elsewhere gets the bytes, as some registries
// have their blobs on other hosts, but never what tells who we are.
func TestForeignLocation(t *testing.T) {
	var heard atomic.Value
	var body atomic.Int64
	storage := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard.Store(r.Header.Clone())
		body.Store(r.ContentLength)
		w.WriteHeader(201)
	}))
	var registryAsked atomic.Int64
	host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(401)
			return
		}
		registryAsked.Add(1)
		if r.Method == "POST" {
			w.Header().Set("Location", "http://"+storage+"/upload?x=1")
			w.WriteHeader(202)
			return
		}
		w.WriteHeader(404)
	}))
	opts := impatient
	opts.Credentials = typed
	data := content(1000)
	if err := newClient(t, host, opts).PushBlob(t.Context(), aName, blobOf(data), client.BytesContent(data)); err != nil {
		t.Fatal(err)
	}
	h, _ := heard.Load().(http.Header)
	if h == nil || h.Get("Authorization") != "" || h.Get("Cookie") != "" || body.Load() != 1000 || registryAsked.Load() != 2 {
		t.Errorf("heard %v with %d bytes; the registry was asked %d times", h, body.Load(), registryAsked.Load())
	}
}

// What a session's Location may not be.
func TestBadLocations(t *testing.T) {
	for name, tt := range map[string]struct {
		location string
		want     error
	}{
		"none":                  {"", client.ErrAnswer},
		"not a URL":             {"http://[", wire.ErrRedirect},
		"another scheme":        {"file:///etc/passwd", wire.ErrOrigin},
		"user":                  {"http://u:p@registry.test/", wire.ErrOrigin},
		"metadata of a cloud":   {"http://169.254.169.254/latest", wire.ErrAddress},
		"an address inside":     {"http://10.0.0.1/", wire.ErrAddress},
		"backslash":             {`\\example.com\x`, wire.ErrRedirect},
		"longer than any URL":   {"/" + strings.Repeat("a", 20000), wire.ErrRedirect},
		"an address as IPv6":    {"http://[::ffff:10.0.0.1]/", wire.ErrAddress},
		"a path that is no URL": {"%zz", wire.ErrRedirect},
	} {
		t.Run(name, func(t *testing.T) {
			answer := func(w http.ResponseWriter, r *http.Request) {
				if tt.location != "" {
					w.Header().Set("Location", tt.location)
				}
				w.WriteHeader(202)
			}
			inBubble(t, answered(method("POST"), answer), impatient, func(t *testing.T, c, _ *client.Client) {
				if _, err := c.StartUpload(t.Context(), aName, digest.SHA256); !errors.Is(err, tt.want) {
					t.Errorf("%v, want %v", err, tt.want)
				}
			})
		})
	}
}

// The URL of a session keeps its own query, byte for byte.
func TestLocationKeepsItsQuery(t *testing.T) {
	var got string
	state := "_state=a%2Bb%3d&x=%7e;y&z"
	b := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.Method {
			case "POST":
				w.Header().Set("Location", "/elsewhere?"+state)
				w.WriteHeader(202)
			case "PUT":
				got = r.URL.RawQuery
				w.WriteHeader(201)
			}
		})
	}
	inBubble(t, b, impatient, func(t *testing.T, c, _ *client.Client) {
		u, err := c.StartUpload(t.Context(), ref.MustName("a"), digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Commit(t.Context(), digestOf("")); err != nil {
			t.Fatal(err)
		}
	})
	if want := state + "&digest=" + url.QueryEscape(digestOf("").String()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
