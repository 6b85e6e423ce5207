package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step6-client/client"
	"shibafu.dev/step6-client/wire"
)

func lists(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Path, "/tags/list") || strings.HasSuffix(r.URL.Path, "/_catalog")
}

// pagesOf makes a registry's pages no larger than so many names, as some do whatever
// is asked for.
func pagesOf(n string) between {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if q := r.URL.Query(); lists(r) && q.Get("n") != "0" {
				q.Set("n", n)
				r.URL.RawQuery = q.Encode()
			}
			next.ServeHTTP(w, r)
		})
	}
}

// noPages is a registry that does not look at n.
func noPages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); lists(r) {
			q.Del("n")
			r.URL.RawQuery = q.Encode()
		}
		next.ServeHTTP(w, r)
	})
}

func TestTags(t *testing.T) {
	for name, b := range map[string]between{"pages": straight, "small pages": pagesOf("2"), "no pages": noPages} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, b, impatient, func(t *testing.T, c, direct *client.Client) {
				pushManifest(t, direct, tagged(image(""), "a", "b", "c", "d", "e"))
				for _, tt := range []struct {
					after string
					n     int
					want  string
				}{
					{"", client.All, "[a b c d e] false"}, {"", 5, "[a b c d e] false"}, {"", 4, "[a b c d] true"}, {"", 1, "[a] true"},
					{"b", client.All, "[c d e] false"}, {"b", 2, "[c d] true"}, {"bb", 9, "[c d e] false"}, {"e", 9, "[] false"}, {"", 0, "[] false"},
				} {
					tags, more, err := c.Tags(t.Context(), aName, tt.after, tt.n)
					if got := fmt.Sprint(tags, more); got != tt.want || err != nil || tags == nil {
						t.Errorf("%d after %q: %s, %v; want %s", tt.n, tt.after, got, err, tt.want)
					}
				}
				push(t, direct, otherName, []byte("x"))
				names, more, err := c.Repositories(t.Context(), "", client.All)
				if got := fmt.Sprint(names, more); got != "[team/app team/other] false" || err != nil {
					t.Errorf("repositories %s, %v", got, err)
				}
			})
		})
	}
}

func TestBadLists(t *testing.T) {
	body := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, text) }
	}
	link := func(target string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", target)
			fmt.Fprint(w, `{"tags":["a"]}`)
		}
	}
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   error
	}{
		{"not JSON", body("<html>"), client.ErrAnswer},
		{"cut", body(`{"tags":["a"`), client.ErrAnswer},
		{"longer", body(`{"tags":["a"]}{}`), client.ErrAnswer},
		{"tags no list", body(`{"tags":"a"}`), client.ErrAnswer},
		{"too large", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "99999999999") }, client.ErrTooLarge},
		{"without end", forever, client.ErrTooLarge},
		{"pages without end", link(`</v2/team/app/tags/list>; rel="next"`), client.ErrTooLarge},
		{"link that is none", link(`/v2/`), client.ErrAnswer},
		{"link to another host", link(`<http://example.com/v2/team/app/tags/list>; rel="next"`), wire.ErrOrigin},
		{"link to another port", link(`<http://registry.test:81/v2/team/app/tags/list>; rel="next"`), wire.ErrOrigin},
		{"link to another scheme", link(`<https://registry.test/v2/team/app/tags/list>; rel="next"`), wire.ErrOrigin},
		{"link to the metadata of a cloud", link(`<http://169.254.169.254/latest>; rel="next"`), wire.ErrAddress},
		{"link without scheme", link(`<//example.com/v2/>; rel="next"`), wire.ErrOrigin},
		{"link with a user", link(`<http://u:p@registry.test/v2/>; rel="next"`), wire.ErrOrigin},
		{"500", status(500), ocierr.InternalError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, answered(lists, tt.answer), impatient, func(t *testing.T, c, _ *client.Client) {
				if tags, _, err := c.Tags(t.Context(), aName, "", client.All); !errors.Is(err, tt.want) || tags != nil {
					t.Errorf("%v, %v; want %v", tags, err, tt.want)
				}
			})
		})
	}
	// What cannot be a name is left out: it would be sent to a terminal.
	evil := body(`{"tags":["a","\u001b[2J","-b","../c",""],"repositories":["a","A","\u0000","a/../b"]}`)
	inBubble(t, answered(lists, evil), impatient, func(t *testing.T, c, _ *client.Client) {
		tags, _, err := c.Tags(t.Context(), aName, "", client.All)
		names, _, err2 := c.Repositories(t.Context(), "", client.All)
		if got := fmt.Sprint(tags, names); got != "[a] [a]" || err != nil || err2 != nil {
			t.Errorf("got %s, %v, %v", got, err, err2)
		}
	})
}

// noReferrers is a registry of before the API for referrers.
func noReferrers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/referrers/") {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(&withoutSubject{w}, r)
	})
}

type withoutSubject struct{ http.ResponseWriter }

func (w *withoutSubject) WriteHeader(status int) {
	w.Header().Del("OCI-Subject")
	w.ResponseWriter.WriteHeader(status)
}

// noFilter is a registry that does not filter referrers.
func noFilter(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); q.Has("artifactType") {
			q.Del("artifactType")
			r.URL.RawQuery = q.Encode()
		}
		next.ServeHTTP(w, r)
	})
}

// onePage makes pages of one referrer.
func onePage(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); strings.Contains(r.URL.Path, "/referrers/") {
			q.Set("n", "1")
			r.URL.RawQuery = q.Encode()
		}
		next.ServeHTTP(w, r)
	})
}

func TestReferrers(t *testing.T) {
	subject := image("")
	of := func(kind string) repo.Push {
		return image(fmt.Sprintf(`,"artifactType":%q,"subject":{"mediaType":%q,"digest":%q,"size":%d}`, kind, oci.MediaTypeImageManifest, subject.Digest, len(subject.Raw)))
	}
	sig, sbom := of("application/x.signature"), of("application/x.sbom")
	for name, b := range map[string]between{"API": straight, "a tag": noReferrers, "no filter": noFilter, "pages": onePage} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, b, impatient, func(t *testing.T, c, _ *client.Client) {
				ctx := t.Context()
				all := func(kind string, after digest.Digest, n int) (string, bool) {
					t.Helper()
					list, more, err := c.Referrers(ctx, aName, subject.Digest, kind, after, n, 1<<20)
					if err != nil {
						t.Fatal(err)
					}
					var kinds []string
					for _, d := range list {
						kinds = append(kinds, strings.TrimPrefix(d.ArtifactType, "application/x."))
					}
					return strings.Join(kinds, " "), more
				}
				if got, more := all("", digest.Digest{}, 10); got != "" || more {
					t.Errorf("before the push: %s, %t", got, more)
				}
				for _, p := range []repo.Push{sig, sbom, sig} {
					pushManifest(t, c, p)
				}
				first, second := "signature", "sbom"
				if sbom.Digest.String() < sig.Digest.String() {
					first, second = second, first
				}
				if got, more := all("", digest.Digest{}, 10); got != first+" "+second || more {
					t.Errorf("all: %s, %t", got, more)
				}
				if got, more := all("application/x.sbom", digest.Digest{}, 10); got != "sbom" || more {
					t.Errorf("of one type: %s, %t", got, more)
				}
				if got, more := all("", digest.Digest{}, 1); got != first || !more {
					t.Errorf("the first: %s, %t", got, more)
				}
				at := map[string]digest.Digest{"signature": sig.Digest, "sbom": sbom.Digest}[first]
				if got, more := all("", at, 10); got != second || more {
					t.Errorf("after the first: %s, %t", got, more)
				}
				if list, more, err := c.Referrers(ctx, aName, subject.Digest, "", digest.Digest{}, 10, 300); len(list) != 1 || !more || err != nil {
					t.Errorf("in 300 bytes: %d, %t, %v", len(list), more, err)
				}
			})
		})
	}
}

func TestReferrersTag(t *testing.T) {
	if got, want := client.ReferrersTag(digestOf("x")).String(), "sha256-"+digestOf("x").Hex(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	d := digest.SHA512.FromBytes([]byte("x"))
	if got, want := client.ReferrersTag(d).String(), "sha512-"+d.Hex()[:64]; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

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
