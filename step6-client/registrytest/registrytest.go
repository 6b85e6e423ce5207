// Package registrytest is a registry in memory for the tests of what speaks to one:
// that of step 5, on an address of this machine.
package registrytest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/pullhttp"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step4-upload/uploadhttp"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step5-manifest/repohttp"
)

// Registry is one that serves until its test ends.
type Registry struct {
	// Host is "host:port".
	Host string

	mu       sync.Mutex
	requests []string
	old      bool
}

// New starts one.
func New(t *testing.T) *Registry {
	t.Helper()
	r := &Registry{}
	r.Host = serve(t, r.watch(Handler(t)))
	return r
}

// Handler is one that others serve.
func Handler(t *testing.T) http.Handler {
	t.Helper()
	b := mem.New()
	store := cas.New(b, cas.Distribution)
	repos := repo.New(b, repo.CASBlobs{Store: store}, repo.Options{})
	uploads, err := upload.New(t.Context(), store, repos.CommitBlob, upload.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	mux, ports := api.NewMux(log), repohttp.Ports{Store: repos}
	mux.Handle(endpoint.Base, api.Base)
	pullhttp.RegisterBlobs(mux, ports)
	pullhttp.RegisterManifests(mux, ports)
	pullhttp.RegisterBlobDelete(mux, ports)
	uploadhttp.Register(mux, uploads, ports)
	repohttp.RegisterPush(mux, repos, manifest.MaxSize)
	repohttp.RegisterDelete(mux, repos)
	repohttp.RegisterLists(mux, repos, repos, repos)
	return mux
}

func serve(t *testing.T, h http.Handler) (host string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- api.Serve(ctx, ln, h, api.Limits{}, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func (r *Registry) watch(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.requests = append(r.requests, req.Method+" "+req.URL.RequestURI())
		old := r.old
		r.mu.Unlock()
		if old && strings.Contains(req.URL.Path, "/referrers/") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if old {
			w = silent{w}
		}
		h.ServeHTTP(w, req)
	})
}

// silent does not say that a subject was understood.
type silent struct{ http.ResponseWriter }

func (s silent) WriteHeader(status int) {
	s.Header().Del("OCI-Subject")
	s.ResponseWriter.WriteHeader(status)
}

func (s silent) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// WithoutReferrers makes the registry one of those that do not know that API.
func (r *Registry) WithoutReferrers() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.old = true
}

// Requests returns what was asked since it was called last, as "METHOD target".
func (r *Registry) Requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.requests
	r.requests = nil
	return asked
}
