package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/password"
	"shibafu.dev/step7-security/observe/metrics"
)

// What stands in for the parts of a path; nothing has this digest.
const (
	someDigest  = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	someSession = "01234567-89ab-4cde-8f01-23456789abcd"
)

// pathOf is a path of an endpoint's.
func pathOf(e *endpoint.Endpoint, name, reference, digest, session string) string {
	return strings.NewReplacer("{name}", name, "{reference}", reference, "{digest}", digest, "{session}", session).Replace(e.Pattern)
}

// file writes a file of rules: of each "SUBJECT REPOSITORIES ACTION,ACTION".
func file(t *testing.T, rules ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.json")
	write(t, path, rules...)
	return path
}

func write(t *testing.T, path string, rules ...string) {
	t.Helper()
	type rule struct {
		Subjects     []string `json:"subjects"`
		Repositories []string `json:"repositories"`
		Actions      []string `json:"actions"`
	}
	all := []rule{}
	for _, r := range rules {
		f := strings.Fields(r)
		all = append(all, rule{f[:1], f[1:2], strings.Split(f[2], ",")})
	}
	raw, err := json.Marshal(map[string]any{"rules": all})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// addUsers adds users whose passwords are quick to verify: "alice's secret".
func addUsers(t *testing.T, root string, names ...string) {
	t.Helper()
	for _, name := range names {
		setPassword(t, root, name, name+"'s secret")
	}
}

func setPassword(t *testing.T, root, name, secret string) {
	t.Helper()
	hash, err := password.Make(secret, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(own(root), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := auth.Edit(filepath.Join(own(root), "users.json"), func(d *auth.Directory) error { return d.SetUser(name, hash) }); err != nil {
		t.Fatal(err)
	}
}

// answer is what a registry answered.
type answer struct {
	status int
	header http.Header
	body   string
}

// asker asks a registry, wherever that is.
type asker struct {
	t  *testing.T
	do func(r *http.Request) (answer, error)
}

// at asks the registry at a URL, and follows no redirect.
func at(t *testing.T, base string) asker {
	to, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return asker{t, func(r *http.Request) (answer, error) {
		r.URL.Scheme, r.URL.Host, r.RequestURI = to.Scheme, to.Host, ""
		resp, err := c.Do(r)
		if err != nil {
			return answer{}, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return answer{resp.StatusCode, resp.Header, string(body)}, err
	}}
}

// of asks a handler, from an address that is not this machine's.
func of(t *testing.T, h http.Handler) asker {
	return asker{t, func(r *http.Request) (answer, error) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return answer{w.Code, w.Header(), w.Body.String()}, nil
	}}
}

// ask asks as "alice", who shows her password, with "Bearer TOKEN", or as "", nobody.
// Headers are "NAME: VALUE".
func (a asker) ask(method, target, as, body string, headers ...string) answer {
	a.t.Helper()
	r := httptest.NewRequestWithContext(a.t.Context(), method, target, strings.NewReader(body))
	switch {
	case strings.HasPrefix(as, "Bearer "):
		r.Header.Set("Authorization", as)
	case as != "":
		r.SetBasicAuth(as, as+"'s secret")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	got, err := a.do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	return got
}

// answers asks, and wants a status.
func (a asker) answers(want int, method, target, as, body string, headers ...string) answer {
	a.t.Helper()
	got := a.ask(method, target, as, body, headers...)
	if got.status != want {
		a.t.Fatalf("%s %s as %q: %d %s, want %d", method, target, as, got.status, got.body, want)
	}
	return got
}

// issue asks for tokens, with a refresh token among them.
func (a asker) issue(as, scope string) auth.Response {
	a.t.Helper()
	var r auth.Response
	got := a.answers(http.StatusOK, "GET", "/token?service=shibafu&offline_token=true&scope="+url.QueryEscape(scope), as, "")
	if err := json.Unmarshal([]byte(got.body), &r); err != nil {
		a.t.Fatal(err)
	}
	return r
}

// token is an access token, as ask takes it.
func (a asker) token(as, scope string) string {
	a.t.Helper()
	return "Bearer " + a.issue(as, scope).Token
}

// guarded is a registry whose handlers answer 200, behind the guards; it ends with ctx.
func guarded(ctx context.Context, t *testing.T, o options, log io.Writer, users ...string) asker {
	t.Helper()
	addUsers(t, o.root, users...)
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	counted := &metrics.Registry{}
	g, err := newGuards(o, counted, logger)
	if err != nil {
		t.Fatal(err)
	}
	go g.Run(ctx, func() {})
	mux := api.NewMux(logger)
	mux.Use(g.Middleware()...)
	for e := range endpoint.All() {
		mux.Handle(e, func(w http.ResponseWriter, _ *http.Request) error { _, err := fmt.Fprint(w, e.Name); return err })
	}
	return of(t, g.Handler(mux, map[string]http.Handler{"metrics": figures(counted, g)}))
}
