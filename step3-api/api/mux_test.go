package api_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/apitest"
)

var quiet = slog.New(slog.DiscardHandler)

// ask hands h a request as it comes over the wire, and returns the response.
func ask(t *testing.T, h http.Handler, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	text := method + " " + target + " HTTP/1.1\r\nHost: registry\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// wantError wants a response that reports an error, as JSON.
func wantError(t *testing.T, w *httptest.ResponseRecorder, status int, code ocierr.Code) {
	t.Helper()
	var body ocierr.Body
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || len(body.Errors) != 1 {
		t.Fatalf("%d %q is no error: %v", w.Code, w.Body, err)
	}
	if w.Code != status || body.Errors[0].Code != code || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %v %s, want %d %s", w.Code, w.Header(), w.Body, status, code)
	}
}

func reached(w http.ResponseWriter, r *http.Request) error {
	_, err := io.WriteString(w, r.PathValue("name"))
	return err
}

// shape is a path of the endpoint's shape.
func shape(e *endpoint.Endpoint) string {
	return strings.NewReplacer("{name}", "team/app", "{digest}", digest.FromBytes(nil).String(),
		"{reference}", "latest", "{session}", "00000000-0000-4000-8000-000000000000").Replace(e.Pattern)
}

func TestNothingRegistered(t *testing.T) {
	mux := api.NewMux(quiet)
	for e := range endpoint.All() {
		for _, method := range e.Methods {
			w := ask(t, mux, method, shape(e))
			if method == "HEAD" {
				if w.Code != 405 || w.Body.Len() > 0 {
					t.Errorf("HEAD %s: %d %s", shape(e), w.Code, w.Body)
				}
				continue
			}
			wantError(t, w, 405, ocierr.Unsupported)
			if allow, there := w.Header()["Allow"]; !there || allow[0] != "" {
				t.Errorf("%s: Allow %q where nothing is allowed", shape(e), allow)
			}
		}
	}
}

// Each endpoint that is registered answers, under its own methods and no others,
// and Allow says which those are.
func TestEachRegistered(t *testing.T) {
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get"}
	for e := range endpoint.All() {
		mux := api.NewMux(quiet)
		mux.Handle(e, reached)
		for _, method := range methods {
			// A handler for GET answers HEAD too.
			allowed := slices.Contains(e.Methods, method) || method == "HEAD" && e.Methods[0] == "GET"
			w := ask(t, mux, method, shape(e))
			switch {
			case allowed && w.Code != 200:
				t.Errorf("%s %s: %d", method, shape(e), w.Code)
			case !allowed && (w.Code != 405 || w.Header().Get("Allow") != strings.Join(e.Methods, ", ")):
				t.Errorf("%s %s: %d, Allow %q", method, shape(e), w.Code, w.Header().Get("Allow"))
			}
		}
	}
}

func TestAllowNamesWhatIsRegistered(t *testing.T) {
	mux := api.NewMux(quiet)
	mux.Handle(endpoint.PullBlob, reached)
	mux.Handle(endpoint.DeleteBlob, reached)
	mux.Handle(endpoint.PushManifest, reached)
	for target, want := range map[string]string{
		shape(endpoint.PullBlob):     "DELETE, GET, HEAD",
		shape(endpoint.PullManifest): "PUT",
		shape(endpoint.StartUpload):  "",
	} {
		w := ask(t, mux, "PATCH", target)
		wantError(t, w, 405, ocierr.Unsupported)
		if got := w.Header().Get("Allow"); got != want {
			t.Errorf("%s: Allow %q, want %q", target, got, want)
		}
	}
}

// The slash at the end may be missing where the specification writes one; the
// mux of net/http would redirect.
func TestSlashAtTheEnd(t *testing.T) {
	mux := api.NewMux(quiet)
	mux.Handle(endpoint.Base, api.Base)
	mux.Handle(endpoint.StartUpload, reached)
	for _, tt := range []struct{ method, target, want string }{
		{"GET", "/v2", "{}"},
		{"GET", "/v2/", "{}"},
		{"GET", "http://registry/v2/", "{}"},
		{"POST", "/v2/a/b/blobs/uploads", "a/b"},
		{"POST", "/v2/a/b/blobs/uploads/", "a/b"},
	} {
		if w := ask(t, mux, tt.method, tt.target); w.Code != 200 || w.Body.String() != tt.want {
			t.Errorf("%s %s: %d %q", tt.method, tt.target, w.Code, w.Body)
		}
	}
}

// A mux that knows nothing but the base refuses all that cannot be a request to
// a registry as a registry does.
func TestBadPaths(t *testing.T) {
	mux := api.NewMux(quiet)
	mux.Handle(endpoint.Base, api.Base)
	apitest.Run(t, serveTCP(t, mux, api.Limits{}), apitest.BadPaths())
}

func TestRequestsWithoutPath(t *testing.T) {
	mux := api.NewMux(quiet)
	mux.Handle(endpoint.Base, reached)
	for _, line := range [][2]string{{"CONNECT", "registry:443"}, {"OPTIONS", "*"}, {"GET", "mailto:x"}, {"GET", "http://registry"}} {
		wantError(t, ask(t, mux, line[0], line[1]), 404, ocierr.Unsupported)
	}
}

func TestLongTarget(t *testing.T) {
	mux := api.NewMux(quiet)
	mux.Handle(endpoint.Base, reached)
	fits := "/v2/?" + strings.Repeat("a", 16<<10-len("/v2/?"))
	if w := ask(t, mux, "GET", fits); w.Code != 200 {
		t.Errorf("16 KiB: %d", w.Code)
	}
	wantError(t, ask(t, mux, "GET", fits+"a"), 414, ocierr.Unsupported)
}

func TestLocation(t *testing.T) {
	d := digest.FromBytes(nil)
	to := endpoint.Path{Pattern: endpoint.PullBlob.Pattern, Name: ref.MustName("team/app"), Digest: d}
	for _, tt := range []struct{ publicURL, want string }{
		{"", "/v2/team/app/blobs/" + d.String()},
		{"https://registry.example:8443", "https://registry.example:8443/v2/team/app/blobs/" + d.String()},
		{"https://example.com/registry", "https://example.com/registry/v2/team/app/blobs/" + d.String()},
	} {
		mux := api.NewMux(quiet)
		mux.PublicURL = tt.publicURL
		mux.Handle(endpoint.Base, func(w http.ResponseWriter, r *http.Request) error {
			r.Header.Set("X-Forwarded-Host", "evil.example")
			w.Header().Set("Location", api.Location(r, to))
			return nil
		})
		if got := ask(t, mux, "GET", "/v2/").Header().Get("Location"); got != tt.want {
			t.Errorf("PublicURL %q: %q", tt.publicURL, got)
		}
	}
}

func TestPathOfOutsideOfAMux(t *testing.T) {
	if p := api.PathOf(httptest.NewRequest("GET", "/v2/a/tags/list", nil)); p != (endpoint.Path{}) {
		t.Errorf("%+v", p)
	}
}

// Middleware runs in the order in which it was added, knows the endpoint from the
// start and the path from the request, and may refuse.
func TestMiddleware(t *testing.T) {
	var calls []string
	note := func(who string) api.Middleware {
		return func(e *endpoint.Endpoint, next api.Handler) api.Handler {
			calls = append(calls, who+" wraps "+e.Name)
			return func(w http.ResponseWriter, r *http.Request) error {
				calls = append(calls, who+" sees "+string(e.Action)+" "+api.PathOf(r).Name.String())
				if r.URL.RawQuery == who {
					return ocierr.Denied
				}
				err := next(w, r)
				calls = append(calls, who+" got "+errorText(err))
				return err
			}
		}
	}
	mux := api.NewMux(quiet)
	mux.Handle(endpoint.Base, api.Base)
	mux.Use(note("one"), note("two"))
	mux.Handle(endpoint.ListTags, func(w http.ResponseWriter, r *http.Request) error {
		calls = append(calls, "handler")
		return ocierr.NameUnknown
	})
	want := func(what string, lines ...string) {
		t.Helper()
		if !slices.Equal(calls, lines) {
			t.Errorf("%s: %q\nwant %q", what, calls, lines)
		}
		calls = nil
	}
	want("registered", "two wraps list tags", "one wraps list tags")
	wantError(t, ask(t, mux, "GET", "/v2/a/b/tags/list"), 404, ocierr.NameUnknown)
	want("asked", "one sees pull a/b", "two sees pull a/b", "handler",
		"two got NAME_UNKNOWN: repository name not known to registry", "one got NAME_UNKNOWN: repository name not known to registry")
	wantError(t, ask(t, mux, "GET", "/v2/a/b/tags/list?two"), 403, ocierr.Denied)
	want("refused half-way", "one sees pull a/b", "two sees pull a/b", "one got DENIED: requested access to the resource is denied")
	ask(t, mux, "GET", "/v2/")
	want("registered before it was added")
	ask(t, mux, "DELETE", "/v2/a/b/tags/list")
	ask(t, mux, "GET", "/v2/UPPER/tags/list")
	want("no endpoint")
}

func errorText(err error) string {
	if err == nil {
		return "nothing"
	}
	return err.Error()
}

func TestWriteJSONOfWhatIsNoJSON(t *testing.T) {
	w := httptest.NewRecorder()
	var unsupported *json.UnsupportedTypeError
	if err := api.WriteJSON(w, "application/json", make(chan int)); !errors.As(err, &unsupported) || len(w.Header()) > 0 {
		t.Errorf("%v, and %v is written", err, w.Header())
	}
}
