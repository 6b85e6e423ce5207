// The naive way to let some in and not others, for the README: the registry of step 5
// behind a handler that asks for a password, as one writes it first. Each line of it is
// reasonable, passwords are hashed as they should be, and it withstands whoever knocks
// at the front.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/pullhttp"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step4-upload/uploadhttp"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step5-manifest/repohttp"
	"shibafu.dev/step7-security/auth/password"
)

// guard lets users use the repositories that begin with their name.
type guard struct {
	users map[string]password.Hash
	repos *repo.Store
	next  http.Handler

	mu     sync.Mutex
	failed map[string]int // wrong passwords, by address
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from := r.Header.Get("X-Forwarded-For") // we are behind a proxy
	if from == "" {
		from, _, _ = net.SplitHostPort(r.RemoteAddr)
	}
	if g.failures(from) >= 10 {
		http.Error(w, "too many wrong passwords", http.StatusTooManyRequests)
		return
	}
	path, err := endpoint.ParsePath(r.URL.EscapedPath())
	if err != nil || r.Method == http.MethodGet && !g.exists(r.Context(), path.Name) {
		http.NotFound(w, r) // there is nothing to protect
		return
	}
	name, secret, _ := r.BasicAuth()
	hash, known := g.users[name]
	if !known || !hash.Matches(secret) {
		g.fail(from)
		w.Header().Set("WWW-Authenticate", `Basic realm="naive"`)
		http.Error(w, "wrong user or password", http.StatusUnauthorized)
		return
	}
	if !strings.HasPrefix(path.Name.String(), name+"/") {
		http.Error(w, "not yours", http.StatusForbidden)
		return
	}
	g.next.ServeHTTP(w, r)
}

func (g *guard) exists(ctx context.Context, name ref.Name) bool {
	_, _, err := g.repos.Tags(ctx, name, "", 0)
	return err == nil
}

func (g *guard) failures(from string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed[from]
}

func (g *guard) fail(from string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed[from]++
}

// main listens on the first argument, and lets in whom the others name: NAME:PASSWORD.
func main() {
	files, quiet := mem.New(), slog.New(slog.DiscardHandler)
	store := cas.New(files, cas.Distribution)
	repos := repo.New(files, repo.CASBlobs{Store: store}, repo.Options{})
	uploads, err := upload.New(context.Background(), store, repos.CommitBlob, upload.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	mux := api.NewMux(quiet)
	ports := repohttp.Ports{Store: repos}
	pullhttp.RegisterBlobs(mux, ports)
	pullhttp.RegisterManifests(mux, ports)
	uploadhttp.Register(mux, uploads, ports)
	repohttp.RegisterPush(mux, repos, manifest.MaxSize)

	g := &guard{users: map[string]password.Hash{}, repos: repos, next: mux, failed: map[string]int{}}
	for _, arg := range os.Args[2:] {
		name, secret, _ := strings.Cut(arg, ":")
		if g.users[name], err = password.Make(secret, 0); err != nil {
			log.Fatal(err)
		}
	}
	ln, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("serving on http://%s\n", ln.Addr())
	log.Fatal(http.Serve(ln, g))
}
