package apitest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/ocierr"
)

// answer is a handler that always gives the same response.
type answer struct {
	status int
	header map[string]string
	body   string
}

func (a answer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.status)
	if a.status != 304 && a.status != 204 {
		io.WriteString(w, a.body)
	}
}

// try makes one exchange with a handler and returns what is wrong.
func try(t *testing.T, h http.Handler, e Exchange) []string {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	s, err := newSession(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer s.transport.CloseIdleConnections()
	return s.exchange(t.Context(), e)
}

func TestFaultsAreFound(t *testing.T) {
	refused := map[string]string{"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"}
	body := func(code, detail string) string {
		return `{"errors":[{"code":"` + code + `","message":"text","detail":"` + detail + `"}]}`
	}
	get := func(e Exchange) Exchange { e.Method, e.Target = "GET", "/v2/"; return e }
	unknown := get(Exchange{Status: 404, Code: ocierr.BlobUnknown})
	tests := []struct {
		name  string
		h     answer
		e     Exchange
		fault string // what the one fault is about; "" for none
	}{
		{"right", answer{200, map[string]string{"X": "y"}, "hello"}, get(Exchange{Status: 200, Want: map[string]string{"X": "y", "Z": ""}, WantBody: "hello"}), ""},
		{"status", answer{202, nil, ""}, get(Exchange{Status: 200}), "status 202"},
		{"header", answer{200, map[string]string{"X": "y"}, ""}, get(Exchange{Status: 200, Want: map[string]string{"X": "z"}}), "X is"},
		{"header missing", answer{200, nil, ""}, get(Exchange{Status: 200, Want: map[string]string{"X": "z"}}), "X is []"},
		{"header to be absent", answer{200, map[string]string{"X": "y"}, ""}, get(Exchange{Status: 200, Want: map[string]string{"X": ""}}), "X is"},
		{"header by pattern", answer{200, map[string]string{"X": "yyy"}, ""}, get(Exchange{Status: 200, Want: map[string]string{"X": "~y+"}}), ""},
		{"header by half a pattern", answer{200, map[string]string{"X": "yyz"}, ""}, get(Exchange{Status: 200, Want: map[string]string{"X": "~y+"}}), "X is"},
		{"header missing for a pattern", answer{200, nil, ""}, get(Exchange{Status: 200, Want: map[string]string{"X": "~.*"}}), "X is"},
		{"body", answer{200, nil, "hello"}, get(Exchange{Status: 200, WantBody: "hell"}), "body"},
		{"JSON", answer{200, nil, `{"b":1,"a":[]}`}, get(Exchange{Status: 200, WantJSON: `{"a": [], "b": 1}`}), ""},
		{"other JSON", answer{200, nil, `{"a":null}`}, get(Exchange{Status: 200, WantJSON: `{"a":[]}`}), "body"},
		{"redirect", answer{307, map[string]string{"Location": "/x"}, ""}, get(Exchange{Status: 307}), "redirected"},
		{"no parts", answer{206, nil, "hello"}, get(Exchange{Status: 206, WantParts: []string{}}), "parts"},
		{"error", answer{404, refused, body("BLOB_UNKNOWN", "")}, unknown, ""},
		{"error of another code", answer{404, refused, body("NAME_UNKNOWN", "")}, unknown, "code NAME_UNKNOWN"},
		{"error in plain text", answer{404, refused, "404 page not found"}, unknown, "the error is"},
		{"error with a path", answer{404, refused, body("BLOB_UNKNOWN", "open /var/lib/x")}, unknown, "the error tells"},
		{"error with Go's text", answer{404, refused, body("BLOB_UNKNOWN", "invalid character 'x'")}, unknown, "the error tells"},
		{"error of a type to guess", answer{404, map[string]string{"Content-Type": "application/json"}, body("BLOB_UNKNOWN", "")}, unknown, "a browser may guess"},
		{"error as text", answer{404, map[string]string{"X-Content-Type-Options": "nosniff", "Content-Type": "text/plain"}, body("BLOB_UNKNOWN", "")}, unknown, "Content-Type"},
		{"unparsed but open", answer{400, nil, "bad"}, get(Exchange{Status: 400, Unparsed: true}), "stays open"},
		{"saved from nowhere", answer{200, nil, ""}, get(Exchange{Status: 200, Save: map[string]string{"Location": "x"}}), "not a URL"},
		{"saved from elsewhere", answer{201, map[string]string{"Location": "http://other/v2/"}, ""}, get(Exchange{Status: 201, Save: map[string]string{"Location": "x"}}), "leads away"},
		{"next page nowhere", answer{200, map[string]string{"Link": "</v2/>"}, ""}, get(Exchange{Status: 200, Save: map[string]string{"Link": "x"}}), "leads nowhere"},
		{"never saved", answer{200, nil, ""}, Exchange{Method: "GET", Target: "{nothing}", Status: 200}, "nothing was saved"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			faults := try(t, tt.h, tt.e)
			switch {
			case tt.fault == "" && len(faults) > 0:
				t.Errorf("faults found in what is right: %q", faults)
			case tt.fault != "" && (len(faults) != 1 || !strings.Contains(faults[0], tt.fault)):
				t.Errorf("found %q, want one about %q", faults, tt.fault)
			}
		})
	}
}

// What is written as a target arrives as that, byte for byte.
func TestTargetsAreSentAsTheyAre(t *testing.T) {
	for _, target := range []string{"/v2/", "//v2/", "//v2/?a=b", "/v2/a//b", "/v2/../x", "/v2/%2e%2e/", "/v2/a%2fb", "/v2/a?c=d%zz&e+f", "/v2/\xc3\xa9", `/v2/a\b`, "*", "/v2/?"} {
		var got string
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = r.RequestURI })
		if faults := try(t, h, Exchange{Method: "POST", Target: target, Status: 200}); len(faults) > 0 || got != target {
			t.Errorf("%q arrived as %q (%q)", target, got, faults)
		}
	}
}

// The lists hold what they say: each has something in it, and nothing is saved
// under a word that no target can hold.
func TestListsAreWellFormed(t *testing.T) {
	lists := map[string][]Exchange{
		"Pull": Pull(NewFixture()), "Push": NewFixture().Push(), "Uploads": Uploads(), "Manifests": Manifests(), "Lists": Lists(), "Isolation": Isolation(),
		"BadPaths": BadPaths(), "BadUploads": BadUploads(), "BadManifests": BadManifests(), "BadInput": BadInput(),
	}
	for name, list := range lists {
		if len(list) < 3 {
			t.Errorf("%s has %d exchanges", name, len(list))
		}
		for _, e := range list {
			if e.Name == "" || e.Raw == "" && (e.Method == "" || e.Target == "") || e.Status == 0 {
				t.Errorf("%s: %q lacks something", name, e)
			}
			if e.Status >= 400 && e.Method != "HEAD" && !e.Unparsed && e.Code == "" {
				t.Errorf("%s: %q does not say its code", name, e.Name)
			}
			if e.Status >= 500 && !e.Unparsed {
				t.Errorf("%s: %q asks for a fault of the server", name, e.Name)
			}
			for _, word := range e.Save {
				if !placeholder.MatchString("{" + word + "}") {
					t.Errorf("%s: %q saves %q", name, e.Name, word)
				}
			}
		}
	}
}

// A session is followed from its Location, also where the registry stands below
// a path, and the query of a Location is kept.
func TestSavedTargets(t *testing.T) {
	var got []string
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.RequestURI)
		w.Header().Set("Location", "/prefix/v2/a/blobs/uploads/1?state=x")
	})
	server := httptest.NewServer(h)
	defer server.Close()
	Run(t, server.URL+"/prefix/", []Exchange{
		{Name: "start", Method: "POST", Target: "/v2/a/blobs/uploads/", Status: 200, Save: map[string]string{"Location": "upload"}},
		{Name: "finish", Method: "PUT", Target: "{upload}?digest=d", Status: 200},
		{Name: "raw", Raw: raw("GET", "{upload}", ""), Status: 200},
	})
	want := []string{"POST /prefix/v2/a/blobs/uploads/", "PUT /prefix/v2/a/blobs/uploads/1?state=x&digest=d", "GET /prefix/v2/a/blobs/uploads/1?state=x"}
	if !slices.Equal(got, want) {
		t.Errorf("requests:\n%s\nwant:\n%s", fmt.Sprint(got), fmt.Sprint(want))
	}
}
