package api_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step3-api/api"
)

// FuzzFold sends any target that net/http lets through to a mux with all
// endpoints. None is redirected, none is a fault of the server; and where a
// handler is reached, what the pattern says of the path is what the parser said.
func FuzzFold(f *testing.F) {
	for e := range endpoint.All() {
		f.Add(e.Methods[0], shape(e))
	}
	for _, target := range []string{"/v2/a%2fb/tags/list", "/v2/a//b/tags/list", "/v2/a/../b/tags/list", "/v2/%2e%2e/tags/list", "*", "//v2/", "http://x/v2/",
		"/v2/tags/list/tags/list", "/v2/a/blobs/uploads/blobs/uploads/", "/v2/a/manifests/a%3Ab", "/v2?x=/v2/a//b", "/v2/a/tags/list#x", "/v2/a;b/tags/list", "/v2/\x80"} {
		f.Add("GET", target)
		f.Add("CONNECT", target)
	}
	mux := api.NewMux(quiet)
	var t *testing.T
	seen := false
	for e := range endpoint.All() {
		mux.Handle(e, func(w http.ResponseWriter, r *http.Request) error {
			seen = true
			agree(t, e, r)
			return nil
		})
	}
	f.Fuzz(func(t2 *testing.T, method, target string) {
		t, seen = t2, false
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")))
		if err != nil {
			return // never reaches a handler
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code >= 300 && w.Code < 400 || seen != (w.Code == 200) {
			t.Errorf("%s %q: %d %s", method, target, w.Code, w.Body)
		}
		if !seen && method != "HEAD" {
			if code := w.Body.String(); !strings.HasPrefix(code, `{"errors":[{"code":"`) || strings.Contains(code, string(ocierr.InternalError)) {
				t.Errorf("%s %q: %q", method, target, code)
			}
		}
	})
}

// agree holds the two readings of a path against each other, and the path against
// what its parts make.
func agree(t *testing.T, e *endpoint.Endpoint, r *http.Request) {
	p := api.PathOf(r)
	for key, value := range map[string]string{
		"name": p.Name.String(), "reference": p.Reference.String(), "digest": p.Digest.String(), "session": p.Session,
	} {
		if got := r.PathValue(key); got != value {
			t.Errorf("%s: the pattern has the %s %q, the parser %q", r.RequestURI, key, got, value)
		}
	}
	if p.Pattern != e.Pattern || r.URL.Path != p.String() {
		t.Errorf("%s: %s with %q at %q", r.RequestURI, p.Pattern, r.URL.Path, e.Pattern)
	}
	if again, err := endpoint.ParsePath(p.String()); err != nil || again != p {
		t.Errorf("%s: %q is read as %+v, %v", r.RequestURI, p, again, err)
	}
}
