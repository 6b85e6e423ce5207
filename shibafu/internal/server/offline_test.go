package server

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"shibafu.dev/step7-security/admin"
	"shibafu.dev/step7-security/adminhttp"
)

// offline is a client of a root that is not served.
func offline(t *testing.T, root string) adminhttp.Client {
	t.Helper()
	h, err := Offline(settings(t, root))
	if err != nil {
		t.Fatal(err)
	}
	return adminhttp.Client{Transport: adminhttp.InProcess(h)}
}

// Before the first start there is nothing, and a user can be made.
func TestOffline(t *testing.T) {
	root := filepath.Join(t.TempDir(), "new", "registry")
	c := offline(t, root)
	var users adminhttp.Users
	if err := c.Do(t.Context(), "GET", "users", nil, &users); err != nil || len(users.Users) != 0 {
		t.Errorf("users %+v, %v", users, err)
	}
	if _, err := os.Stat(root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the root: %v", err)
	}
	if err := c.Do(t.Context(), "POST", "users", admin.NewUser{Name: "alice", Password: "correct horse battery"}, nil); err != nil {
		t.Fatal(err)
	}
	for folder, mode := range map[string]fs.FileMode{root: 0o755, own(root): 0o700} {
		if info, err := os.Stat(folder); err != nil || info.Mode() != fs.ModeDir|mode {
			t.Errorf("%s: %v, %v", folder, info.Mode(), err)
		}
	}
	base := "http://" + start(t, root).Addr().String()
	r, err := http.NewRequestWithContext(t.Context(), "GET", base+"/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, password string
		status         int
	}{{"alice", "correct horse battery", 200}, {"alice", "wrong", 401}} {
		r.SetBasicAuth(tt.name, tt.password)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.status {
			t.Errorf("%s with %q: %d, want %d", tt.name, tt.password, resp.StatusCode, tt.status)
		}
	}
}

// What needs a server is not there.
func TestOfflineHasNoServer(t *testing.T) {
	c := offline(t, t.TempDir())
	for _, path := range []string{"sessions", "stats", "log-level", "health"} {
		if err := c.Do(t.Context(), "GET", path, nil, nil); err == nil {
			t.Errorf("%s is there", path)
		}
	}
}

// What root writes the server of another user could not read.
func TestBelongsTo(t *testing.T) {
	root, me := t.TempDir(), os.Geteuid()
	for _, tt := range []struct {
		name, root string
		uid        int
		want       error
	}{
		{"mine", root, me, nil},
		{"another's", root, me + 1, errOwner},
		{"not there", filepath.Join(root, "none"), me + 1, nil},
	} {
		if err := belongsTo(tt.root, tt.uid); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}
