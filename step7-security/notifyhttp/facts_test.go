package notifyhttp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/pullhttp"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step4-upload/uploadhttp"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step5-manifest/repohttp"
	"shibafu.dev/step7-security/forwarded"
	"shibafu.dev/step7-security/forwardedhttp"
	"shibafu.dev/step7-security/notify"
	"shibafu.dev/step7-security/notifyhttp"
)

// registry is one whose events arrive at taken.
type registry struct {
	*testing.T
	url   string
	taken chan notify.Event
}

// Send implements notify.Sender.
func (r *registry) Send(_ context.Context, d notify.Delivery) error {
	var e struct{ Events []notify.Event }
	if err := json.Unmarshal(d.Body, &e); err != nil {
		return err
	}
	for _, event := range e.Events {
		r.taken <- event
	}
	return nil
}

func newRegistry(t *testing.T, publicURL, events string) *registry {
	r := &registry{T: t, taken: make(chan notify.Event, 100)}
	facts := notifyhttp.Facts{Origin: forwardedhttp.Origin, Actor: func(context.Context) string { return "alice" }, PublicURL: publicURL}
	b := mem.New()
	n, err := notify.Open(t.Context(), notify.Options{Bucket: b, Sender: r, Cause: facts.Cause}, []*notify.Target{target(t, "https://ci.test", `, "events": [`+events+`]`)})
	if err != nil {
		t.Fatal(err)
	}
	store := cas.New(b, cas.Distribution)
	repos := repo.New(b, repo.CASBlobs{Store: store}, repo.Options{Outbox: n})
	uploads, err := upload.New(t.Context(), store, repos.CommitBlob, upload.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	mux, ports := api.NewMux(slog.New(slog.NewTextHandler(t.Output(), nil))), repohttp.Ports{Store: repos}
	mux.Use(facts.Middleware(n))
	mux.Handle(endpoint.Base, api.Base)
	pullhttp.RegisterBlobs(mux, ports)
	pullhttp.RegisterManifests(mux, ports)
	pullhttp.RegisterBlobDelete(mux, ports)
	uploadhttp.Register(mux, uploads, ports)
	repohttp.RegisterPush(mux, repos, manifest.MaxSize)
	repohttp.RegisterDelete(mux, repos)
	server := httptest.NewServer(forwardedhttp.Handler(forwarded.Trust{}, mux))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { n.Run(ctx) })
	t.Cleanup(func() { server.Close(); cancel(); running.Wait() })
	r.url = server.URL
	return r
}

// do makes a request and returns its status.
func (r *registry) do(method, path, body string, headers ...string) int {
	r.Helper()
	q, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	q.Header.Set("User-Agent", "test/1")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		q.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		r.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

var (
	config = digest.FromBytes([]byte("{}")).String()
	image  = func() string {
		raw, _ := json.Marshal(oci.Manifest{SchemaVersion: 2, MediaType: oci.MediaTypeImageManifest, Config: oci.EmptyDescriptor})
		return string(raw)
	}()
)

func (r *registry) push() {
	r.Helper()
	if s := r.do("POST", "/v2/team/app/blobs/uploads/?digest="+config, "{}"); s != 201 {
		r.Fatalf("a blob: %d", s)
	}
	if s := r.do("PUT", "/v2/team/app/manifests/v1", image, "Content-Type: "+oci.MediaTypeImageManifest); s != 201 {
		r.Fatalf("a manifest: %d", s)
	}
}

func words(e notify.Event) string {
	return fmt.Sprintf("%s %s %q %d %s", e.Action, e.Target.MediaType, e.Target.Tag, e.Target.Size, e.Target.Digest.String()[:15])
}

// A request is told of as it came.
func TestCause(t *testing.T) {
	for _, public := range []string{"", "https://public.test/prefix/"} {
		r := newRegistry(t, public, `"push"`)
		r.push()
		host := strings.TrimPrefix(r.url, "http://")
		base := r.url
		if public != "" {
			base = "https://public.test/prefix"
		}
		blob, m := <-r.taken, <-r.taken
		for _, tt := range []struct {
			e            notify.Event
			method, path string
		}{{blob, "POST", "/blobs/" + config}, {m, "PUT", "/manifests/" + digest.FromBytes([]byte(image)).String()}} {
			want := notify.Request{ID: tt.e.Request.ID, Addr: "127.0.0.1", Host: host, Method: tt.method, UserAgent: "test/1"}
			if tt.e.Request != want || len(want.ID) != 26 || tt.e.Actor.Name != "alice" || tt.e.Target.URL != base+"/v2/team/app"+tt.path {
				t.Errorf("%+v", tt.e)
			}
		}
		if blob.Request.ID == m.Request.ID || blob.ID == m.ID {
			t.Error("two requests, or two events, of one ID")
		}
	}
}

// The events of one request have its ID.
func TestOneRequest(t *testing.T) {
	r := newRegistry(t, "", `"push"`)
	r.push()
	<-r.taken
	<-r.taken
	if s := r.do("PUT", "/v2/team/app/manifests/v1?tag=v2", image, "Content-Type: "+oci.MediaTypeImageManifest); s != 201 {
		t.Fatalf("a manifest: %d", s)
	}
	if a, b := <-r.taken, <-r.taken; a.Request.ID != b.Request.ID || a.ID == b.ID {
		t.Errorf("%+v and %+v", a, b)
	}
}

// The ID is the one that stands in the log, where there is one.
func TestRequestID(t *testing.T) {
	n, err := notify.Open(t.Context(), notify.Options{Bucket: mem.New()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	facts := notifyhttp.Facts{RequestID: func(context.Context) string { return "of the log" }}
	mux := api.NewMux(slog.New(slog.DiscardHandler))
	mux.Use(facts.Middleware(n))
	got := notify.Cause{}
	mux.Handle(endpoint.DeleteBlob, func(_ http.ResponseWriter, r *http.Request) error {
		got = facts.Cause(r.Context())
		return nil
	})
	mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("DELETE", "/v2/a/blobs/"+config, nil))
	if want := (notify.Request{ID: "of the log", Method: "DELETE"}); got.Request != want || facts.Cause(t.Context()) != (notify.Cause{}) {
		t.Errorf("%+v, want %+v", got.Request, want)
	}
}

// What was pulled whole, or from its beginning, was pulled.
func TestPulls(t *testing.T) {
	sum := digest.FromBytes([]byte(image)).String()
	blob := fmt.Sprintf("pull application/octet-stream %q 2 %s", "", config[:15])
	byTag := fmt.Sprintf("pull %s %q %d %s", oci.MediaTypeImageManifest, "v1", len(image), sum[:15])
	byDigest := strings.Replace(byTag, `"v1"`, `""`, 1)
	tests := []struct {
		name, method, path string
		headers            []string
		status             int
		want               string
	}{
		{"a manifest by tag", "GET", "/manifests/v1", nil, 200, byTag},
		{"a manifest by digest", "GET", "/manifests/" + sum, nil, 200, byDigest},
		{"is it there", "HEAD", "/manifests/v1", nil, 200, ""},
		{"is it another", "GET", "/manifests/v1", []string{`If-None-Match: "` + sum + `"`}, 304, ""},
		{"no such manifest", "GET", "/manifests/v9", nil, 404, ""},
		{"a blob", "GET", "/blobs/" + config, nil, 200, blob},
		{"its beginning", "GET", "/blobs/" + config, []string{"Range: bytes=0-0"}, 206, blob},
		{"all in a range", "GET", "/blobs/" + config, []string{"Range: bytes=0-"}, 206, blob},
		{"its end", "GET", "/blobs/" + config, []string{"Range: bytes=1-"}, 206, ""},
		{"two pieces", "GET", "/blobs/" + config, []string{"Range: bytes=0-0,1-1"}, 206, ""},
		{"too far", "GET", "/blobs/" + config, []string{"Range: bytes=9-"}, 416, ""},
		{"is a blob there", "HEAD", "/blobs/" + config, nil, 200, ""},
	}
	r := newRegistry(t, "", `"pull"`)
	r.push()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if s := r.do(tt.method, "/v2/team/app"+tt.path, "", tt.headers...); s != tt.status {
				t.Errorf("status %d, want %d", s, tt.status)
			}
			// Another pull comes behind it, so that nothing else is still to come.
			r.do("GET", "/v2/team/app/manifests/v1", "")
			want := slices.DeleteFunc([]string{tt.want, byTag}, func(s string) bool { return s == "" })
			for _, w := range want {
				if got := words(<-r.taken); got != w {
					t.Errorf("told %s, want %s", got, w)
				}
			}
		})
	}
}

// The handler's writer passes on what the kernel needs to send files.
func TestWriter(t *testing.T) {
	n, err := notify.Open(t.Context(), notify.Options{Bucket: mem.New()}, []*notify.Target{target(t, "https://ci.test", `, "events": ["pull"]`)})
	if err != nil {
		t.Fatal(err)
	}
	files := &filesTo{ResponseWriter: httptest.NewRecorder()}
	mux := api.NewMux(slog.New(slog.DiscardHandler))
	mux.Use(notifyhttp.Facts{}.Middleware(n))
	mux.Handle(endpoint.PullBlob, func(w http.ResponseWriter, _ *http.Request) error {
		_, err := w.(io.ReaderFrom).ReadFrom(io.LimitReader(strings.NewReader("abc"), 3))
		return err
	})
	mux.ServeHTTP(files, httptest.NewRequest("GET", "/v2/a/blobs/"+config, nil))
	if _, ok := files.from.(*io.LimitedReader); !ok {
		t.Errorf("was sent %T", files.from)
	}
	if n.Status()[0].Pulls != 1 {
		t.Errorf("%+v", n.Status())
	}
}

// filesTo sees what it is to read from.
type filesTo struct {
	http.ResponseWriter
	from io.Reader
}

func (f *filesTo) ReadFrom(src io.Reader) (int64, error) {
	f.from = src
	return io.Copy(io.Discard, src)
}
