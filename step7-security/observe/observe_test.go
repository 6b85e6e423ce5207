package observe_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step7-security/observe"
	"shibafu.dev/step7-security/observe/metrics"
)

// registry is one whose handlers do what the tests need.
type registry struct {
	*testing.T
	http.Handler
	log     bytes.Buffer
	metrics metrics.Registry
}

func newRegistry(t *testing.T, o observe.Options) *registry {
	r := &registry{T: t}
	o.Log, o.Metrics = slog.New(slog.NewJSONHandler(&r.log, nil)), &r.metrics
	observer := observe.New(o)
	mux := api.NewMux(slog.New(slog.DiscardHandler))
	mux.Use(observer.Middleware)
	mux.Handle(endpoint.PullManifest, func(w http.ResponseWriter, r *http.Request) error {
		if r.PathValue("reference") == "missing" {
			return ocierr.ManifestUnknown
		}
		observe.Identify(r.Context(), observe.Caller{Name: "alice", Kind: "user", Result: "ok"})
		_, err := io.WriteString(w, "manifest")
		return err
	})
	mux.Handle(endpoint.PushManifest, func(w http.ResponseWriter, r *http.Request) error {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return err
		}
		w.WriteHeader(http.StatusCreated)
		return nil
	})
	mux.Handle(endpoint.DeleteManifest, func(http.ResponseWriter, *http.Request) error { return errors.New("secret cause") })
	mux.Handle(endpoint.PullBlob, func(w http.ResponseWriter, r *http.Request) error { panic(http.ErrAbortHandler) })
	r.Handler = observer.Handler(mux)
	return r
}

// do sends a request and returns its line of the log, without what differs each time.
func (r *registry) do(method, path, body string, header ...string) map[string]any {
	r.Helper()
	r.log.Reset()
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.RemoteAddr = "[::ffff:192.0.2.7]:1234"
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	func() {
		defer func() { _ = recover() }()
		r.ServeHTTP(httptest.NewRecorder(), request)
	}()
	if r.log.Len() == 0 {
		return nil
	}
	var line map[string]any
	if err := json.Unmarshal(r.log.Bytes(), &line); err != nil {
		r.Fatalf("%v: %s", err, &r.log)
	}
	for _, key := range []string{"time", "duration", "id"} {
		if _, ok := line[key]; !ok {
			r.Errorf("no %s in %s", key, &r.log)
		}
		delete(line, key)
	}
	return line
}

func TestLines(t *testing.T) {
	r := newRegistry(t, observe.Options{})
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	hex := strings.Repeat("a", 64)
	for _, tt := range []struct {
		name         string
		method, path string
		body         string
		header       []string
		want         map[string]any
	}{
		{"read", "GET", "/v2/team/app/manifests/v1", "", []string{"User-Agent", "crane/1"}, map[string]any{
			"level": "INFO", "msg": "request", "method": "GET", "status": 200.0, "client": "192.0.2.7", "identity": "alice", "endpoint": "pull manifest", "spec": "end-3",
			"repository": "team/app", "reference": "v1", "agent": "crane/1", "received": 0.0, "sent": 8.0}},
		{"error", "GET", "/v2/team/app/manifests/missing", "", nil, map[string]any{
			"level": "INFO", "msg": "request", "method": "GET", "status": 404.0, "client": "192.0.2.7", "endpoint": "pull manifest", "spec": "end-3",
			"repository": "team/app", "reference": "missing", "code": "MANIFEST_UNKNOWN", "received": 0.0, "sent": 80.0}},
		{"write", "PUT", "/v2/team/app/manifests/v1", "12345", nil, map[string]any{
			"level": "INFO", "msg": "request", "method": "PUT", "status": 201.0, "client": "192.0.2.7", "endpoint": "push manifest", "spec": "end-7a",
			"repository": "team/app", "reference": "v1", "received": 5.0, "sent": 0.0}},
		{"fault", "DELETE", "/v2/team/app/manifests/v1", "", nil, map[string]any{
			"level": "ERROR", "msg": "request", "method": "DELETE", "status": 500.0, "client": "192.0.2.7", "endpoint": "delete manifest or tag", "spec": "end-9", "code": "INTERNAL_ERROR",
			"repository": "team/app", "reference": "v1", "received": 0.0, "sent": 75.0}},
		{"path of nobody's", "GET", "/v2/team/app/nothing", "", nil, map[string]any{
			"level": "INFO", "msg": "request", "method": "GET", "status": 404.0, "client": "192.0.2.7", "received": 0.0, "sent": 74.0}},
		{"method of nobody's", "BREW", "/v2/team/app/manifests/v1", "", nil, map[string]any{
			"level": "INFO", "msg": "request", "method": "other", "status": 405.0, "client": "192.0.2.7", "received": 0.0, "sent": 73.0}},
		{"panic", "GET", "/v2/a/blobs/sha256:" + hex, "", nil, map[string]any{
			"level": "ERROR", "msg": "request", "method": "GET", "status": 0.0, "client": "192.0.2.7", "endpoint": "pull blob", "spec": "end-2",
			"repository": "a", "reference": "sha256:" + hex, "aborted": true, "received": 0.0, "sent": 0.0}},
		{"trace", "GET", "/v2/a/manifests/missing", "", []string{"Traceparent", "00-" + trace + "-00f067aa0ba902b7-01"}, map[string]any{
			"level": "INFO", "msg": "request", "method": "GET", "status": 404.0, "client": "192.0.2.7", "endpoint": "pull manifest", "spec": "end-3",
			"repository": "a", "reference": "missing", "code": "MANIFEST_UNKNOWN", "trace": trace, "received": 0.0, "sent": 80.0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := r.do(tt.method, tt.path, tt.body, tt.header...)
			for key, want := range tt.want {
				if key == "sent" && tt.want["status"] != 200.0 {
					continue // the length of an error's text
				}
				if got[key] != want {
					t.Errorf("%s is %v, want %v", key, got[key], want)
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("%v", got)
			}
		})
	}
	if strings.Contains(r.log.String(), "secret cause") {
		t.Error("the cause of an error is in the access log")
	}
}

// What a client sends neither ends a line nor makes one long.
func TestHostileAgent(t *testing.T) {
	r := newRegistry(t, observe.Options{})
	agent := "x\x1b[31m" + strings.Repeat("a", 1<<16)
	got := r.do("GET", "/v2/a/manifests/v1", "", "User-Agent", agent)
	if text, _ := got["agent"].(string); len(text) > 300 || strings.Count(r.log.String(), "\n") != 1 || strings.ContainsRune(r.log.String(), 0x1b) {
		t.Errorf("%q", r.log.String())
	}
}

func TestSampling(t *testing.T) {
	r := newRegistry(t, observe.Options{Every: 10})
	lines := func(n int, method, path string) (total int) {
		for range n {
			if r.do(method, path, "") != nil {
				total++
			}
		}
		return total
	}
	for _, tt := range []struct {
		method, path string
		want         int
	}{{"GET", "/v2/a/manifests/v1", 10}, {"GET", "/v2/a/manifests/missing", 100}, {"PUT", "/v2/a/manifests/v1", 100}} {
		if got := lines(100, tt.method, tt.path); got != tt.want {
			t.Errorf("%s %s: %d lines, want %d", tt.method, tt.path, got, tt.want)
		}
	}
}

func TestClient(t *testing.T) {
	r := newRegistry(t, observe.Options{Client: func(*http.Request) netip.Addr { return netip.MustParseAddr("2001:db8::1") }})
	if got := r.do("GET", "/v2/a/manifests/v1", "")["client"]; got != "2001:db8::1" {
		t.Error(got)
	}
}

func TestMetrics(t *testing.T) {
	r := newRegistry(t, observe.Options{})
	r.do("GET", "/v2/a/manifests/v1", "")
	r.do("GET", "/v2/a/manifests/v1", "")
	r.do("PUT", "/v2/a/manifests/v1", "12345")
	r.do("GET", "/nothing/of/ours", "")
	r.do("GET", "/v2/a/blobs/sha256:"+strings.Repeat("a", 64), "") // panics
	var text strings.Builder
	if err := r.metrics.Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`shibafu_http_requests_total{endpoint="pull manifest",method="GET",status="200"} 2`,
		`shibafu_http_requests_total{endpoint="push manifest",method="PUT",status="201"} 1`,
		`shibafu_http_requests_total{endpoint="other",method="GET",status="404"} 1`,
		`shibafu_http_requests_total{endpoint="pull blob",method="GET",status="aborted"} 1`,
		`shibafu_http_request_bytes_total{endpoint="push manifest"} 5`,
		`shibafu_http_response_bytes_total{endpoint="pull manifest"} 16`,
		`shibafu_http_requests_in_flight 0`,
		`shibafu_http_request_duration_seconds_count{endpoint="pull manifest",method="GET"} 2`,
		`shibafu_http_request_duration_seconds_count{endpoint="pull blob",method="GET"} 1`,
	} {
		if !strings.Contains(text.String(), want+"\n") {
			t.Errorf("%s is missing in\n%s", want, &text)
		}
	}
}

func TestTraces(t *testing.T) {
	const id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for _, tt := range []struct{ name, header, want string }{
		{"usual", "00-" + id + "-" + parent + "-01", id},
		{"version to come, with more", "cc-" + id + "-" + parent + "-01-more", id},
		{"more than version 00 has", "00-" + id + "-" + parent + "-01-more", ""},
		{"version that cannot be", "ff-" + id + "-" + parent + "-01", ""},
		{"upper case", "00-" + strings.ToUpper(id) + "-" + parent + "-01", ""},
		{"zeros", "00-" + strings.Repeat("0", 32) + "-" + parent + "-01", ""},
		{"parent of zeros", "00-" + id + "-" + strings.Repeat("0", 16) + "-01", ""},
		{"too short", "00-" + id[1:] + "-" + parent + "-01", ""},
		{"parts missing", "00-" + id, ""},
		{"something else", "hello", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRegistry(t, observe.Options{})
			got, _ := r.do("GET", "/v2/a/manifests/v1", "", "Traceparent", tt.header)["trace"].(string)
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// filesTo is a connection's writer that knows whether it was given a file.
type filesTo struct {
	http.ResponseWriter
	file *os.File
}

func (f *filesTo) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if ok {
		f.file, _ = limited.R.(*os.File)
	}
	return io.Copy(f.ResponseWriter, r)
}

// A file that is served reaches the connection as a file behind one limit, which is
// what the kernel can send by itself.
func TestFilesStayFiles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(name, []byte("a blob"), 0o644); err != nil {
		t.Fatal(err)
	}
	observer := observe.New(observe.Options{})
	serve := observer.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) }))
	below := &filesTo{ResponseWriter: httptest.NewRecorder()}
	serve.ServeHTTP(below, httptest.NewRequest("GET", "/", nil))
	if below.file == nil {
		t.Error("it came as something else")
	}
}

// What wraps a writer can be seen through, so that deadlines reach the connection.
func TestUnwrap(t *testing.T) {
	server := httptest.NewServer(observe.New(observe.Options{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conn.Close()
	})))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if answer, err := io.ReadAll(conn); len(answer) > 0 || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
}

func BenchmarkRequest(b *testing.B) {
	observer := observe.New(observe.Options{Log: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	serve := observer.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusOK) }))
	r := httptest.NewRequest("GET", "/v2/a/manifests/v1", nil)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		serve.ServeHTTP(w, r)
	}
}
