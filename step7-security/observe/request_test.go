package observe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step7-security/observe"
	"shibafu.dev/step7-security/observe/metrics"
)

// One request has one ID: in the access log, in the log of faults, and for its client.
func TestOneID(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	observer := observe.New(observe.Options{Log: logger})
	mux := api.NewMux(logger)
	mux.RequestID = observe.RequestID
	mux.Use(observer.Middleware)
	mux.Handle(endpoint.Base, func(http.ResponseWriter, *http.Request) error { return errors.New("fault") })
	w := httptest.NewRecorder()
	observer.Handler(mux).ServeHTTP(w, httptest.NewRequest("GET", "/v2/", nil))
	id := w.Header().Get("X-Request-Id")
	lines := strings.SplitAfter(log.String(), "\n")
	if id == "" || len(lines) != 3 {
		t.Fatalf("ID %q, log:\n%s", id, &log)
	}
	for _, line := range lines[:2] {
		var said struct{ ID string }
		if err := json.Unmarshal([]byte(line), &said); err != nil || said.ID != id {
			t.Errorf("ID %q, %v: %s", id, err, line)
		}
	}
}

func TestRequestID(t *testing.T) {
	var one, again, other string
	observer := observe.New(observe.Options{})
	serve := observer.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		other, one, again = again, observe.RequestID(r.Context()), observe.RequestID(r.Context())
	}))
	for range 2 {
		serve.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	if one == "" || one != again || one == other {
		t.Errorf("%q, %q; the one before %q", one, again, other)
	}
	if id := observe.RequestID(t.Context()); id != "" {
		t.Errorf("%q where nothing is observed", id)
	}
}

// failingWriter is a connection that fails after the header.
type failingWriter struct {
	http.ResponseWriter
	err error
}

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

// How requests end, and whose fault that is.
func TestEnds(t *testing.T) {
	half := func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Content-Length", "100")
		w.Write([]byte("half"))
		return nil
	}
	whole := func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Content-Length", "5")
		w.Write([]byte("whole"))
		return nil
	}
	read := func(w http.ResponseWriter, r *http.Request) error {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return ocierr.BlobUploadInvalid
		}
		return nil
	}
	failed := func(http.ResponseWriter, *http.Request) error { return context.Canceled }
	for _, tt := range []struct {
		name    string
		handler api.Handler
		left    bool  // the client, before the end
		sending error // of the connection
		body    error
		level   string
		outcome string
		gone    bool
		reason  string
	}{
		{"all is well", whole, false, nil, nil, "INFO", "200", false, ""},
		{"gone when it had all", whole, true, nil, nil, "INFO", "200", false, "nothing is missing"},
		{"gone in the middle", half, true, nil, nil, "INFO", "200", true, "containerd does so on purpose"},
		{"broken pipe", half, false, syscall.EPIPE, nil, "INFO", "200", true, "before the server has noticed"},
		{"the disk", half, false, syscall.EIO, nil, "ERROR", "aborted", false, "what failed was not the connection"},
		{"gone, and so it failed", failed, true, nil, nil, "INFO", "gone", true, "no 500 that anybody should look into"},
		{"it failed", failed, false, nil, nil, "ERROR", "500", false, ""},
		{"the body was cut", read, false, nil, io.ErrUnexpectedEOF, "INFO", "400", true, ""},
		{"the body was reset", read, false, nil, syscall.ECONNRESET, "INFO", "400", true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			var figures metrics.Registry
			observer := observe.New(observe.Options{Log: slog.New(slog.NewJSONHandler(&log, nil)), Metrics: &figures})
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			mux := api.NewMux(slog.New(slog.DiscardHandler))
			mux.Use(observer.Middleware)
			mux.Handle(endpoint.PullBlob, func(w http.ResponseWriter, r *http.Request) error {
				if tt.left {
					leave()
				}
				return tt.handler(w, r)
			})
			var body io.Reader = http.NoBody
			if tt.body != nil {
				body = iotest.ErrReader(tt.body)
			}
			r := httptest.NewRequestWithContext(ctx, "GET", "/v2/a/blobs/sha256:"+strings.Repeat("a", 64), body)
			var w http.ResponseWriter = httptest.NewRecorder()
			if tt.sending != nil {
				w = failingWriter{w, tt.sending}
			}
			observer.Handler(mux).ServeHTTP(w, r)
			var line struct {
				Level string
				Gone  bool
			}
			if err := json.Unmarshal(log.Bytes(), &line); err != nil || line.Level != tt.level || line.Gone != tt.gone {
				t.Errorf("%v (%s): %s", err, tt.reason, &log)
			}
			var text strings.Builder
			figures.Write(&text)
			if want := `method="GET",status="` + tt.outcome + `"} 1`; !strings.Contains(text.String(), want) {
				t.Errorf("no %s (%s) in\n%s", want, tt.reason, &text)
			}
		})
	}
}

// What is outside of the API has a name where somebody gave it one.
func TestNamed(t *testing.T) {
	var figures metrics.Registry
	var done []string
	observer := observe.New(observe.Options{Metrics: &figures, Done: func(q *observe.Request) { done = append(done, q.Name) }})
	serve := observer.Handler(observe.Named("token", http.NotFoundHandler()))
	serve.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/token", nil))
	var text strings.Builder
	figures.Write(&text)
	if want := `shibafu_http_requests_total{endpoint="token",method="GET",status="404"} 1`; !strings.Contains(text.String(), want) || len(done) != 1 || done[0] != "token" {
		t.Errorf("%q, no %s in\n%s", done, want, &text)
	}
}

func TestDone(t *testing.T) {
	var got observe.Request
	r := newRegistry(t, observe.Options{Done: func(q *observe.Request) {
		got.Status, got.Code, got.Caller, got.Path, got.Received, got.Response = q.Status, q.Code, q.Caller, q.Path, q.Received, q.Response
	}})
	r.do("GET", "/v2/team/app/manifests/v1", "")
	if got.Status != 200 || got.Code != "" || got.Caller != (observe.Caller{Name: "alice", Kind: "user", Result: "ok"}) || got.Path.Name.String() != "team/app" || got.Response == nil {
		t.Errorf("a read: %+v", got.Caller)
	}
	r.do("GET", "/v2/team/app/manifests/missing", "")
	if got.Status != 404 || got.Code != ocierr.ManifestUnknown || got.Caller.Name != "" {
		t.Errorf("an error: %d %s %+v", got.Status, got.Code, got.Caller)
	}
}
