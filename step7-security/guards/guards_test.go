package guards

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/password"
	"shibafu.dev/step7-security/observe/metrics"
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
