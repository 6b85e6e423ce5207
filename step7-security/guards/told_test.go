package guards

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/observe"
)

// What is told of requests is enough to know whom to ask about them, on all ways in.
func TestWhatIsTold(t *testing.T) {
	var told []string
	g := opened(t, Options{Ask: true,
		Issued: func(_ *http.Request, id auth.Identity, asked auth.Request) {
			told = append(told, fmt.Sprint("a token for ", id.Name, " ", asked.Offline))
		},
		Done: func(q *observe.Request) {
			told = append(told, fmt.Sprint(q.Name, " ", q.Status, " ", q.Caller.Kind, " ", q.Caller.Name, " ", q.Caller.Result))
		}})
	metrics := g.Admins(http.NotFoundHandler())
	mux := api.NewMux(slog.New(slog.DiscardHandler))
	mux.Use(g.Middleware()...)
	mux.Handle(endpoint.Base, api.Base)
	h := g.Handler(mux, map[string]http.Handler{"metrics": metrics})
	bearer := "Bearer " + token(t, g, "registry:catalog:*")
	told = nil
	ask := func(path, authorization string) {
		r, err := http.NewRequest("GET", path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.RemoteAddr, r.Host = "192.0.2.1:1234", "reg.test"
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		h.ServeHTTP(&discard{}, r)
	}
	const right, wrong = "Basic YWxpY2U6c2VjcmV0", "Basic YWxpY2U6d3Jvbmc=" // alice:secret, alice:wrong
	ask("/v2/", "")
	ask("/v2/", right)
	ask("/token?offline_token=true", right)
	ask("/token", wrong)
	ask("/metrics", "")
	ask("/metrics", wrong)
	ask("/metrics", right)
	ask("/metrics", bearer)
	ask("/nothing", right)
	want := []string{
		"check the API 401 anonymous  none", "check the API 200 user alice ok",
		"a token for alice true", "token 200 user alice ok", "token 401   credentials",
		"metrics 401 anonymous  none", "metrics 401   credentials", "metrics 403 user alice denied", "metrics 401 user alice scope",
		" 404   ",
	}
	if !slices.Equal(told, want) {
		t.Errorf("got\n%q\nwant\n%q", told, want)
	}
}

// discard is a client that does not listen.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header {
	if d.header == nil {
		d.header = http.Header{}
	}
	return d.header
}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// Of each file it can be asked whether it is in force.
func TestFiles(t *testing.T) {
	g := opened(t, Options{Ask: true})
	for name, err := range g.Files() {
		if err() != nil {
			t.Errorf("%s: %v", name, err())
		}
	}
	for file, name := range map[string]string{UsersFile: "users", PolicyFile: "policy"} {
		if err := os.WriteFile(filepath.Join(g.opts.Folder, file), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if g.Reload() == nil || g.Files()[name]() == nil {
			t.Errorf("%s is bad, and in force", file)
		}
	}
}
