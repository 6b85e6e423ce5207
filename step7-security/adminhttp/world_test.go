package adminhttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step7-security/admin"
	"shibafu.dev/step7-security/adminhttp"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/keys"
	"shibafu.dev/step7-security/auth/password"
	"shibafu.dev/step7-security/policy"
)

// secret is a password that may be chosen, and weak one that may not.
const secret, weak = "correct horse battery", "hunter2"

// world is a registry that is looked after.
type world struct {
	t        *testing.T
	folder   string
	accounts *auth.Accounts
	rules    *policy.Policy
	fault    error // of the rules
	level    slog.LevelVar
	uploads  *upload.Manager
	ports    adminhttp.Ports
	opts     adminhttp.Options

	mu   sync.Mutex
	told []string // what Changed was told
}

const (
	usersMayPull = `{"rules": [{"name": "users", "subjects": ["authenticated"], "repositories": ["**"], "actions": ["pull"]}]}`
	teamMayPush  = `{"rules": [{"name": "team", "subjects": ["group:team"], "repositories": ["team/*"], "actions": ["pull", "push"]},
{"name": "not yet", "effect": "deny", "subjects": ["authenticated"], "repositories": ["team/secret"], "actions": ["push"]}]}`
)

// keyStore is an adminhttp.Keys.
type keyStore struct{ *keys.Store }

func (k keyStore) List() ([]keys.Info, error) { return k.Store.List(), nil }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, folder: filepath.Join(t.TempDir(), "shibafu")}
	var err error
	if w.accounts, err = auth.Open(auth.Options{File: w.file("users.json"), Concurrent: 1}); err != nil {
		t.Fatal(err)
	}
	store, err := keys.Open(filepath.Join(t.TempDir(), "keys"), keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if w.uploads, err = upload.New(t.Context(), cas.New(mem.New(), cas.Distribution), upload.CommitBare, upload.Limits{}); err != nil {
		t.Fatal(err)
	}
	w.reload()
	w.ports = adminhttp.Ports{
		Directory: &admin.Directory{File: w.file("users.json"), Accounts: w.accounts, Rounds: 1000},
		Rules: &admin.Rules{
			File: w.file("policy.json"), Current: func() *policy.Policy { return w.rules },
			Reload: w.reload, Fault: func() error { return w.fault }, GroupsOf: w.accounts.GroupsOf,
		},
		Keys: keyStore{store}, Sessions: w.uploads, LogLevel: &w.level,
		Stats: func() adminhttp.Stats {
			return adminhttp.Stats{Version: "v1", Started: time.Now(), Authentication: true}
		},
		Reload: []adminhttp.Reloader{{"users", w.accounts.Poll}, {"certificates", func() error { return errors.New("expired") }}},
		Health: func(context.Context) []adminhttp.Check {
			return []adminhttp.Check{{"storage", nil}, {"keys", errors.New("none")}}
		},
	}
	w.opts = adminhttp.Options{Trusted: true, Changed: w.changed}
	return w
}

func (w *world) file(name string) string { return filepath.Join(w.folder, name) }

// reload reads the rules again; without a file all users may pull.
func (w *world) reload() error {
	raw, err := os.ReadFile(w.file("policy.json"))
	if errors.Is(err, fs.ErrNotExist) {
		raw = []byte(usersMayPull)
	}
	rules, err := policy.Parse("policy.json", raw)
	if w.fault = err; err == nil {
		w.rules = rules
	}
	return err
}

func (w *world) changed(_ *http.Request, action, target string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	line := strings.TrimSpace(action + " " + target)
	if err != nil {
		line += ": failed"
	}
	w.told = append(w.told, line)
}

// heard is what Changed was told since it was asked last.
func (w *world) heard() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := strings.Join(w.told, ", ")
	w.told = nil
	return told
}

func (w *world) handler() http.Handler {
	w.t.Helper()
	h, err := adminhttp.New(w.ports, w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// ask sends a request; header are names and values in turn.
func (w *world) ask(method, path, body string, header ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer := httptest.NewRecorder()
	w.handler().ServeHTTP(answer, r)
	return answer
}

// must is ask for what must succeed; the answer is read into v unless that is nil.
func (w *world) must(method, path, body string, v any, header ...string) {
	w.t.Helper()
	answer := w.ask(method, adminhttp.Prefix+path, body, header...)
	if answer.Code >= 300 {
		w.t.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
	}
	if v != nil {
		if err := json.Unmarshal(answer.Body.Bytes(), v); err != nil {
			w.t.Fatalf("%s %s: %v in %s", method, path, err, answer.Body)
		}
	}
}

// fill puts something of each kind into the registry.
func (w *world) fill() {
	w.t.Helper()
	hash, err := password.Make(secret, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.Mkdir(w.folder, 0o700); err != nil {
		w.t.Fatal(err)
	}
	err = auth.Edit(w.file("users.json"), func(d *auth.Directory) error {
		_, robot := d.AddRobot("ci", "builds", time.Time{})
		return errors.Join(robot, d.SetUser("alice", hash), d.SetUser("bob", hash), d.DisableUser("bob", true),
			d.Join("team", "alice"), d.Join("team", "robot$ci"), d.Join("readers", "oidc$github:acme/app"))
	})
	if err == nil {
		err = os.WriteFile(w.file("policy.json"), []byte(usersMayPull), 0o600)
	}
	if err := errors.Join(err, w.accounts.Poll(), w.reload()); err != nil {
		w.t.Fatal(err)
	}
}

// verify tells whether a name and a secret let somebody in.
func (w *world) verify(name, secret string) bool {
	_, err := w.accounts.Verify(w.t.Context(), name, secret)
	return err == nil
}

func (w *world) startUpload(name string) (id string) {
	w.t.Helper()
	status, err := w.uploads.Start(w.t.Context(), ref.MustName(name), digest.SHA256)
	if err != nil {
		w.t.Fatal(err)
	}
	return status.ID
}

// state is what lies in the folder, but for locks.
func (w *world) state() string {
	w.t.Helper()
	var all strings.Builder
	entries, err := os.ReadDir(w.folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		if raw, err := os.ReadFile(w.file(e.Name())); !strings.HasSuffix(e.Name(), ".lock") {
			all.WriteString(e.Name() + ": " + string(raw))
			if err != nil {
				w.t.Fatal(err)
			}
		}
	}
	return all.String()
}
