package server

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step7-security/admin"
	"shibafu.dev/step7-security/adminhttp"
)

const aliceMayAdmin = `{"rules": [{"subjects": ["user:alice"], "repositories": ["*"], "actions": ["admin"]},
	{"subjects": ["user:bob"], "repositories": ["*"], "actions": ["pull", "push", "delete", "catalog"]}]}`

// overSocket is a client of a server's socket.
func overSocket(t *testing.T, root string) adminhttp.Client {
	t.Helper()
	path, err := settings(t, root).SocketPath()
	if err != nil {
		t.Fatal(err)
	}
	return adminhttp.Client{Transport: adminhttp.OverSocket(path)}
}

// do asks the API for what must succeed.
func do(t *testing.T, c adminhttp.Client, method, path string, in, out any) {
	t.Helper()
	if err := c.Do(t.Context(), method, path, in, out); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}

// changesTold are the actions in the audit log, with who did what to whom.
func changesTold(t *testing.T, root string) (lines []string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(own(root), "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var e struct{ Identity, Kind, Action, Target, Result, Code string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Join([]string{e.Kind, e.Action, e.Target, e.Result + e.Code}, " "))
	}
	return lines
}

// While a registry runs it is looked after over its socket, at once.
func TestAdministerOverTheSocket(t *testing.T) {
	root := t.TempDir()
	r := start(t, root)
	path := filepath.Join(own(root), "socket")
	if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	c := overSocket(t, root)
	r.want(t, 200, "", "GET", "/v2/", "")
	do(t, c, "POST", "users", admin.NewUser{Name: "alice", Password: "correct horse battery"}, nil)
	r.want(t, 401, "", "GET", "/v2/", "")
	upload := adminhttp.SessionList{}
	do(t, c, "GET", "sessions", nil, &upload)
	var figures adminhttp.Figures
	do(t, c, "GET", "stats", nil, &figures)
	if !figures.Authentication || figures.Disk == nil || figures.Sessions == nil || figures.Started.IsZero() || figures.Version == "" {
		t.Errorf("figures %+v", figures)
	}
	var reloaded adminhttp.Reloaded
	do(t, c, "POST", "reload", nil, &reloaded)
	for _, result := range reloaded.Results {
		if !result.OK {
			t.Errorf("%+v", result)
		}
	}
	var health adminhttp.Health
	if do(t, c, "GET", "health", nil, &health); !health.Healthy || len(health.Checks) == 0 {
		t.Errorf("health %+v", health)
	}
	if err := c.Do(t.Context(), "DELETE", "users/bob", nil, nil); !errors.Is(err, ocierr.Code("UNKNOWN")) {
		t.Errorf("no user was removed: %v", err)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left over: %v", err)
	}
	want := []string{"socket add user alice done", "socket reload  done", "socket remove user bob failedUNKNOWN"}
	if got := changesTold(t, root); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the audit log has %q, want %q", got, want)
	}
}

// Where no socket can be made the registry is served all the same, and says so.
func TestNoSocket(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(own(root), "socket"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := start(t, root)
	r.want(t, 200, "", "GET", "/v2/", "")
	if !strings.Contains(r.log.String(), "find no server") {
		t.Errorf("the log says %s", r.log)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

func TestAdministerLogLevel(t *testing.T) {
	root := t.TempDir()
	r := start(t, root)
	c := overSocket(t, root)
	if err := c.Do(t.Context(), "GET", "log-level", nil, nil); !errors.Is(err, ocierr.Code("UNKNOWN")) {
		t.Errorf("a level that nobody can change: %v", err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	level := new(slog.LevelVar)
	s, err := Open(t.Context(), settings(t, root), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.LogLevel(level)
	h, err := adminhttp.New(s.adminPorts(), adminhttp.Options{Trusted: true})
	if err != nil {
		t.Fatal(err)
	}
	do(t, adminhttp.Client{Transport: adminhttp.InProcess(h)}, "PUT", "log-level", adminhttp.Level{Level: "debug"}, nil)
	if level.Level() != slog.LevelDebug {
		t.Errorf("the level is %v", level)
	}
}

// On the registry's port the API is for those with the right to administer, who say so
// themselves: tokens are for repositories.
func TestAdministerOnThePort(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"alice", "bob"} {
		addUser(t, root, name)
	}
	rules(t, root, aliceMayAdmin)
	r := start(t, root)
	var token struct{ Token string }
	body := r.want(t, 200, "", "GET", "/token?service=shibafu&scope=registry:catalog:*", "", basic("alice")).body
	if err := json.Unmarshal([]byte(body), &token); err != nil || token.Token == "" {
		t.Fatalf("%v, %s", err, body)
	}
	const add, json = `{"name": "carol", "password": "correct horse battery"}`, "Content-Type: application/json"
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		header                   []string
	}{
		{"nobody", "GET", "users", "", 401, nil},
		{"a guess", "GET", "users", "", 401, []string{"Authorization: Basic YWxpY2U6Z3Vlc3M="}},
		{"a user without the right", "GET", "users", "", 403, []string{basic("bob")}},
		{"a token of the registry's", "GET", "users", "", 401, []string{"Authorization: Bearer " + token.Token}},
		{"a page of another site", "POST", "users", add, 403, []string{basic("alice"), json, "Origin: https://evil.example"}},
		{"a form", "POST", "users", add, 403, []string{basic("alice"), "Content-Type: text/plain"}},
		{"nobody, and nothing there", "GET", "nothing", "", 401, nil},
		{"nothing there", "GET", "nothing", "", 404, []string{basic("alice")}},
		{"who may", "GET", "users", "", 200, []string{basic("alice")}},
		{"who may, changing something", "POST", "users", add, 201, []string{basic("alice"), json}},
		{"a member with a slash", "PUT", "groups/team/members/oidc$github:acme%2Fapp", "", 204, []string{basic("alice")}},
		{"what is not clean", "DELETE", "users/../users/carol", "", 404, []string{basic("alice")}},
		{"what is not clean, escaped", "DELETE", "users/%2e%2e/users/carol", "", 404, []string{basic("alice")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.want(t, tt.status, "", tt.method, adminhttp.Prefix+tt.path, tt.body, tt.header...)
		})
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	log := strings.Join(changesTold(t, root), "\n")
	for _, line := range []string{"user add user carol done", "user join group team/oidc$github:acme/app done"} {
		if strings.Count(log, line) != 1 {
			t.Errorf("the audit log has not %q once:\n%s", line, log)
		}
	}
	if n := strings.Count(log, "refused"); n != 4 { // a guess, bob, another site, a form
		t.Errorf("%d refusals are told of, want 4:\n%s", n, log)
	}
}

// Where nobody is asked who they are, nobody administers over the network.
func TestNobodyAdministersAnOpenRegistry(t *testing.T) {
	r := start(t, t.TempDir())
	r.want(t, http.StatusUnauthorized, "UNAUTHORIZED", "GET", adminhttp.Prefix+"users", "")
	r.want(t, http.StatusUnauthorized, "UNAUTHORIZED", "POST", adminhttp.Prefix+"users", `{"name": "mallory", "password": "correct horse battery"}`, "Content-Type: application/json")
}
