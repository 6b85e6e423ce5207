package guards

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/password"
	"shibafu.dev/step7-security/observe/metrics"
	"shibafu.dev/step7-security/ratelimit"
)

// opened opens guards with the user alice, whose password is "secret".
func opened(t testing.TB, o Options) *Guards {
	t.Helper()
	if o.Folder == "" {
		o.Folder = t.TempDir()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = &metrics.Registry{}
	}
	if o.Ask {
		addUser(t, o.Folder, "alice")
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func addUser(t testing.TB, folder, name string) {
	t.Helper()
	hash, err := password.Make("secret", 1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := auth.Edit(filepath.Join(folder, UsersFile), func(d *auth.Directory) error { return d.SetUser(name, hash) }); err != nil {
		t.Fatal(err)
	}
}

// token is one of alice's.
func token(t testing.TB, g *Guards, scope string) string {
	t.Helper()
	r := httptest.NewRequest("GET", "/token?service=shibafu&scope="+scope, nil)
	r.SetBasicAuth("alice", "secret")
	w := httptest.NewRecorder()
	g.Handler(http.NotFoundHandler(), nil).ServeHTTP(w, r)
	var got struct{ Token string }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return got.Token
}

// registry is one that says who asks it.
func registry(t *testing.T, g *Guards) http.Handler {
	t.Helper()
	mux := api.NewMux(slog.New(slog.DiscardHandler))
	mux.Use(g.Middleware()...)
	for _, e := range []*endpoint.Endpoint{endpoint.Base, endpoint.PullManifest, endpoint.PushManifest, endpoint.DeleteManifest, endpoint.ListCatalog} {
		mux.Handle(e, func(w http.ResponseWriter, r *http.Request) error {
			_, err := io.WriteString(w, Caller(r.Context()))
			return err
		})
	}
	return g.Handler(mux, map[string]http.Handler{"figures": g.Admins(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))})
}

// asks makes a request from an address; who is "" for nobody.
func asks(h http.Handler, from, who, method, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = from
	if who != "" {
		r.SetBasicAuth(who, "secret")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const here, there = "127.0.0.1:1", "192.0.2.1:1"

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What makes everybody be asked who they are, and that without it nobody is.
func TestAsks(t *testing.T) {
	htpasswd, empty := filepath.Join(t.TempDir(), "htpasswd"), filepath.Join(t.TempDir(), "rules")
	write(t, htpasswd, "")
	write(t, empty, `{"rules": []}`)
	for _, tt := range []struct {
		name   string
		opts   Options
		folder func(t *testing.T, folder string)
		want   bool
	}{
		{"nothing", Options{}, nil, false},
		{"a user", Options{}, func(t *testing.T, folder string) { addUser(t, folder, "alice") }, true},
		{"a file without users", Options{}, func(t *testing.T, folder string) { write(t, filepath.Join(folder, UsersFile), "{}") }, true},
		{"rules in the folder", Options{}, func(t *testing.T, folder string) { write(t, filepath.Join(folder, PolicyFile), `{"rules": []}`) }, true},
		{"rules elsewhere", Options{Policy: empty}, nil, true},
		{"a file of Apache's", Options{Htpasswd: htpasswd}, nil, true},
		{"certificates", Options{Ask: true}, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.Folder = t.TempDir()
			if tt.folder != nil {
				tt.folder(t, tt.opts.Folder)
			}
			g := opened(t, tt.opts)
			status := map[bool]int{true: 401, false: 200}[tt.want]
			if w := asks(registry(t, g), there, "", "GET", "/v2/"); g.Asks() != tt.want || w.Code != status {
				t.Errorf("asks %v, and answers %d", g.Asks(), w.Code)
			}
			if (g.Keys() != nil) != tt.want {
				t.Errorf("keys: %v", g.Keys())
			}
		})
	}
}

// Files that cannot be used keep a registry from starting, rather than being open.
func TestBadFiles(t *testing.T) {
	for _, name := range []string{UsersFile, PolicyFile} {
		folder := t.TempDir()
		write(t, filepath.Join(folder, name), `{"rules": 1, "users": 1}`)
		if _, err := New(Options{Folder: folder, Metrics: &metrics.Registry{}, Log: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("%s: nothing is wrong with it", name)
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	for _, o := range []Options{{Policy: none}, {Htpasswd: none}, {Issuers: none}} {
		o.Folder, o.Log = t.TempDir(), slog.New(slog.DiscardHandler)
		if _, err := New(o); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// Where keys cannot be made, there are no tokens, but nothing is open either, and
// passwords are good.
func TestKeysThatCannotBeMade(t *testing.T) {
	g := opened(t, Options{})
	write(t, filepath.Join(g.opts.Folder, "keys"), "in the way")
	addUser(t, g.opts.Folder, "alice")
	if err := g.Reload(); err != nil {
		t.Fatal(err)
	}
	h := registry(t, g)
	for _, tt := range []struct {
		who, path string
		want      int
	}{
		{"", "/v2/", 401},
		{"alice", "/v2/", 200},
		{"alice", "/token?service=shibafu", 500},
	} {
		if w := asks(h, there, tt.who, "GET", tt.path); w.Code != tt.want {
			t.Errorf("%q %s: %d %s, want %d", tt.who, tt.path, w.Code, w.Body, tt.want)
		}
	}
}

// Changes are found while it runs: a user, rules, and that these are bad.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := opened(t, Options{})
		ctx, stop := context.WithCancel(t.Context())
		ended, changes := make(chan struct{}), 0
		go func() { g.Run(ctx, func() { changes++ }); close(ended) }()
		policyFile := filepath.Join(g.opts.Folder, PolicyFile)
		h := registry(t, g)
		for _, tt := range []struct {
			name    string
			do      func()
			status  int
			changes int
		}{
			{"nothing", func() {}, 200, 0},
			{"a user", func() { addUser(t, g.opts.Folder, "alice") }, 200, 1},
			{"rules that let nobody in", func() { write(t, policyFile, `{"rules": []}`) }, 403, 2},
			{"bad rules", func() { write(t, policyFile, `{"rules": [1]}`) }, 403, 2},
			{"rules for alice", func() {
				write(t, policyFile, `{"rules": [{"subjects": ["user:alice"], "repositories": ["a"], "actions": ["pull"]}]}`)
			}, 200, 3},
		} {
			tt.do()
			time.Sleep(2 * auth.DefaultInterval)
			synctest.Wait()
			if w := asks(h, here, "alice", "GET", "/v2/a/manifests/v1"); w.Code != tt.status || changes != tt.changes {
				t.Errorf("%s: %d after %d changes, want %d after %d", tt.name, w.Code, changes, tt.status, tt.changes)
			}
		}
		stop()
		<-ended
	})
}

// Limits hold for addresses and for users, but not for nobody on this machine.
func TestLimits(t *testing.T) {
	g := opened(t, Options{Limits: ratelimit.Limits{Requests: ratelimit.Rate{PerSecond: 0.001, Burst: 2}}})
	h := registry(t, g)
	for _, tt := range []struct {
		from string
		want []int
	}{{there, []int{200, 200, 429}}, {here, []int{200, 200, 200}}} {
		for i, want := range tt.want {
			if w := asks(h, tt.from, "", "GET", "/v2/"); w.Code != want {
				t.Errorf("request %d from %s: %d, want %d", i, tt.from, w.Code, want)
			}
		}
	}
	addUser(t, g.opts.Folder, "alice")
	if err := g.Reload(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{200, 200, 429} {
		if w := asks(h, here, "alice", "GET", "/v2/"); w.Code != want {
			t.Errorf("request %d of alice: %d, want %d", i, w.Code, want)
		}
	}
}

// Who may do something with the registry itself: no token of ours, whoever's it is.
func TestAdmins(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"alice", "bob"} {
		addUser(t, folder, name)
	}
	write(t, filepath.Join(folder, PolicyFile), `{"rules": [{"subjects": ["user:alice"], "repositories": ["*"], "actions": ["admin"]},
		{"subjects": ["user:bob"], "repositories": ["*"], "actions": ["pull", "push", "delete", "catalog"]}]}`)
	g := opened(t, Options{Folder: folder})
	h := registry(t, g)
	bearer := httptest.NewRequest("GET", "/figures", nil)
	bearer.Header.Set("Authorization", "Bearer "+token(t, g, "repository:a:pull&scope=registry:catalog:*"))
	refused := httptest.NewRecorder()
	h.ServeHTTP(refused, bearer)
	wrong := httptest.NewRequest("GET", "/figures", nil)
	wrong.SetBasicAuth("alice", "guess")
	guessed := httptest.NewRecorder()
	h.ServeHTTP(guessed, wrong)
	for _, tt := range []struct {
		name string
		got  *httptest.ResponseRecorder
		want int
	}{
		{"nobody", asks(h, here, "", "GET", "/figures"), 401},
		{"bob", asks(h, here, "bob", "GET", "/figures"), 403},
		{"alice", asks(h, here, "alice", "GET", "/figures"), 200},
		{"a token of alice's", refused, 401},
		{"a guess", guessed, 401},
	} {
		if tt.got.Code != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, tt.got.Code, tt.want)
		}
		if challenge := tt.got.Header().Get("WWW-Authenticate"); (challenge == `Basic realm="shibafu"`) != (tt.want == 401) {
			t.Errorf("%s: challenge %q", tt.name, challenge)
		}
	}
	open := registry(t, opened(t, Options{}))
	if w := asks(open, there, "", "GET", "/figures"); w.Code != 200 {
		t.Errorf("where nobody is asked who they are: %d", w.Code)
	}
}
