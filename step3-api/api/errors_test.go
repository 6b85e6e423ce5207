package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step3-api/api"
)

// failing returns a mux whose base fails with err, and its log as JSON lines.
func failing(err error, header http.Header) (*api.Mux, *bytes.Buffer) {
	log := new(bytes.Buffer)
	mux := api.NewMux(slog.New(slog.NewJSONHandler(log, nil)))
	mux.Handle(endpoint.Base, func(w http.ResponseWriter, r *http.Request) error {
		for name, values := range header {
			w.Header()[name] = values
		}
		return err
	})
	return mux, log
}

func TestErrors(t *testing.T) {
	secret := errors.New("open /var/lib/secret: permission denied")
	tests := []struct {
		name   string
		err    error
		status int
		body   string
		logged bool
	}{
		{"code", ocierr.BlobUnknown, 404,
			`{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}`, false},
		{"code in a chain", fmt.Errorf("%w: %w", ocierr.BlobUnknown, secret), 404,
			`{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}`, false},
		{"detail", ocierr.DigestInvalid.With("why"), 400,
			`{"errors":[{"code":"DIGEST_INVALID","message":"provided digest is invalid or did not match uploaded content","detail":"why"}]}`, false},
		{"another status", ocierr.ManifestInvalid.WithStatus(413, nil), 413,
			`{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}`, false},
		{"detail that is no JSON", ocierr.DigestInvalid.With(make(chan int)), 400,
			`{"errors":[{"code":"DIGEST_INVALID","message":"provided digest is invalid or did not match uploaded content"}]}`, false},
		{"detail with markup", ocierr.SizeInvalid.With("<script>"), 400,
			`{"errors":[{"code":"SIZE_INVALID","message":"provided length did not match content length","detail":"\u003cscript\u003e"}]}`, false},
		{"unclassified", secret, 500,
			`{"errors":[{"code":"INTERNAL_ERROR","message":"internal error"}]}`, true},
		{"missing in the store, unclassified", bucket.ErrNotExist, 500,
			`{"errors":[{"code":"INTERNAL_ERROR","message":"internal error"}]}`, true},
		{"full disk", fmt.Errorf("write: %w: %w", bucket.ErrFull, secret), 507,
			`{"errors":[{"code":"STORAGE_FULL","message":"no space left to store this"}]}`, true},
		{"a 5xx that is classified", ocierr.InternalError.With(nil), 500,
			`{"errors":[{"code":"INTERNAL_ERROR","message":"internal error"}]}`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mux, log := failing(tt.err, nil)
			w := ask(t, mux, "GET", "/v2/")
			if w.Code != tt.status || strings.TrimSpace(w.Body.String()) != tt.body {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if w.Header().Get("Content-Type") != "application/json" || w.Header().Get("X-Content-Type-Options") != "nosniff" ||
				w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) {
				t.Errorf("headers %v", w.Header())
			}
			checkLog(t, w, log, tt.logged, tt.err)
		})
	}
}

// checkLog wants the cause in the log, under the ID that the response carries, or
// nothing in either.
func checkLog(t *testing.T, w *httptest.ResponseRecorder, log *bytes.Buffer, logged bool, cause error) {
	t.Helper()
	id := w.Header().Get("X-Request-Id")
	if !logged {
		if log.Len() > 0 || id != "" {
			t.Errorf("ID %q, log: %s", id, log)
		}
		return
	}
	var line struct{ Level, ID, Method, Path, Cause string }
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("log %q: %v", log, err)
	}
	if id == "" || line.ID != id || line.Method != "GET" || line.Path != "/v2/" || line.Level != "ERROR" || !strings.Contains(line.Cause, cause.Error()) {
		t.Errorf("ID %q, log: %s", id, log)
	}
}

func TestErrorsAreFoundByDifferentIDs(t *testing.T) {
	mux, _ := failing(errors.New("fault"), nil)
	one, two := ask(t, mux, "GET", "/v2/"), ask(t, mux, "GET", "/v2/")
	if one.Header().Get("X-Request-Id") == two.Header().Get("X-Request-Id") {
		t.Error("two faults have one ID")
	}
}

// An ID that others know the request by is the one that a fault is found by.
func TestErrorsHaveTheIDOfTheirRequest(t *testing.T) {
	mux, log := failing(errors.New("fault"), nil)
	mux.RequestID = func(context.Context) string { return "its ID" }
	w := ask(t, mux, "GET", "/v2/")
	if id := w.Header().Get("X-Request-Id"); id != "its ID" || !strings.Contains(log.String(), `"id":"its ID"`) {
		t.Errorf("ID %q, log: %s", id, log)
	}
}

// Of what a handler has set for a success, an error keeps nothing; of what it has
// set for the error, all.
func TestErrorHeaders(t *testing.T) {
	set := http.Header{}
	drop := []string{"Content-Type", "Content-Length", "Content-Encoding", "Etag", "Docker-Content-Digest", "Cache-Control", "Link", "Accept-Ranges", "Last-Modified"}
	keep := []string{"Allow", "Connection", "Content-Range", "Location", "Range", "Retry-After", "Www-Authenticate"}
	for _, name := range append(drop, keep...) {
		set.Set(name, "mine")
	}
	mux, _ := failing(ocierr.Denied, set)
	h := ask(t, mux, "GET", "/v2/").Header()
	for _, name := range drop {
		if h.Get(name) == "mine" {
			t.Errorf("%s is kept", name)
		}
	}
	for _, name := range keep {
		if h.Get(name) != "mine" {
			t.Errorf("%s is dropped", name)
		}
	}
}

func TestErrorOfHEAD(t *testing.T) {
	mux, _ := failing(ocierr.Denied, nil)
	get, head := ask(t, mux, "GET", "/v2/"), ask(t, mux, "HEAD", "/v2/")
	if head.Body.Len() > 0 || head.Header().Get("Content-Length") != fmt.Sprint(get.Body.Len()) {
		t.Errorf("HEAD: %v %q", head.Header(), head.Body)
	}
}

// When the client has gone, that is why the handler failed: no fault of ours, and
// nothing for the log.
func TestClientIsGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name   string
		err    error
		logged bool
	}{
		{"gone", context.Canceled, false},
		{"gone, and something else failed for it", errors.New("read tcp: connection reset"), false},
		{"gone, but the disk is full", bucket.ErrFull, true},
	} {
		mux, log := failing(tt.err, nil)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/v2/", nil))
		if logged := log.Len() > 0; logged != tt.logged || w.Code < 500 {
			t.Errorf("%s: %d, log %q", tt.name, w.Code, log)
		}
	}
}
