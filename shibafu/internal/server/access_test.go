package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/password"
	"shibafu.dev/step7-security/tlsconf"
)

// addUser makes a user whose password is "NAME's secret".
func addUser(t *testing.T, root, name string) {
	t.Helper()
	hash, err := password.Make(name+"'s secret", 1000)
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

// basic is a header line that says who somebody is.
func basic(name string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+name+"'s secret"))
}

// rule writes the policy of a root.
func rules(t *testing.T, root, text string) {
	t.Helper()
	if err := os.MkdirAll(own(root), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(own(root), "policy.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Where others than this machine's programs come, nothing is open to all unless
// somebody said so.
func TestStartsOnlyGuarded(t *testing.T) {
	for _, tt := range []struct {
		name string
		user bool
		want error
	}{
		{"nobody known", false, tlsconf.ErrOpen},
		{"a user known", true, nil},
	} {
		root := t.TempDir()
		if tt.user {
			addUser(t, root, "alice")
		}
		config := settings(t, root)
		config.Addr = ":0"
		s, err := Open(t.Context(), config, slog.New(slog.DiscardHandler))
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil {
			s.Close()
		}
		start(t, root) // the store was let go of
	}
}

// With users everybody is asked who they are, and without a policy they may all do
// everything but look after the registry.
func TestUsers(t *testing.T) {
	root := t.TempDir()
	addUser(t, root, "alice")
	r := start(t, root)
	challenge := r.want(t, 401, `"UNAUTHORIZED"`, "GET", "/v2/", "").Header.Get("WWW-Authenticate")
	if want := `Bearer realm="` + r.base + `/token",service="shibafu"`; challenge != want {
		t.Errorf("%s, want %s", challenge, want)
	}
	r.want(t, 401, "", "POST", "/v2/a/blobs/uploads/?digest="+sum("x"), "x")
	r.want(t, 201, "", "POST", "/v2/a/blobs/uploads/?digest="+sum("x"), "x", basic("alice"))
	r.want(t, 401, "", "GET", "/v2/", "", basic("bob"))
	r.want(t, 401, "", "GET", "/metrics", "")
	r.want(t, 403, "", "GET", "/metrics", "", basic("alice"))

	var token struct{ Token string }
	got := r.want(t, 200, "", "GET", "/token?service=shibafu&scope=repository:a:pull", "", basic("alice"))
	if err := json.Unmarshal([]byte(got.body), &token); err != nil {
		t.Fatal(err)
	}
	r.want(t, 200, "x", "GET", "/v2/a/blobs/"+sum("x"), "", "Authorization: Bearer "+token.Token)
	r.want(t, 401, "", "GET", "/metrics", "", "Authorization: Bearer "+token.Token)
	if got := r.want(t, 200, `"keys"`, "GET", "/token/keys", ""); strings.Contains(got.body, `"d"`) {
		t.Errorf("private keys: %s", got.body)
	}
}

// A registry that is open is so to everybody; it has no tokens, and asks from the moment
// on that there is a user.
func TestOpenUntilThereAreUsers(t *testing.T) {
	root := t.TempDir()
	r := start(t, root)
	r.want(t, 200, "", "GET", "/v2/", "")
	r.want(t, 404, "", "GET", "/token", "")
	r.want(t, 200, "shibafu_http_requests_total", "GET", "/metrics", "")
	if _, err := os.Stat(filepath.Join(own(root), "keys")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("keys for nobody: %v", err)
	}
	addUser(t, root, "alice")
	r.Reload()
	r.want(t, 401, "", "GET", "/v2/", "")
	r.want(t, 200, "", "GET", "/v2/", "", basic("alice"))
	if err := os.Remove(filepath.Join(own(root), "users.json")); err != nil {
		t.Fatal(err)
	}
	r.Reload()
	r.want(t, 401, "", "GET", "/v2/", "")
	if log := r.log.String(); !strings.Contains(log, "users.json") {
		t.Errorf("nothing is said of users that are gone: %s", log)
	}
}

func TestPolicyOfARoot(t *testing.T) {
	root := t.TempDir()
	addUser(t, root, "alice")
	addUser(t, root, "bob")
	rules(t, root, `{"rules": [
		{"subjects": ["user:alice"], "repositories": ["*"], "actions": ["admin"]},
		{"subjects": ["anonymous", "user:bob"], "repositories": ["public/**"], "actions": ["pull"]}
	]}`)
	r := start(t, root)
	r.want(t, 201, "", "POST", "/v2/public/a/blobs/uploads/?digest="+sum("x"), "x", basic("alice"))
	r.want(t, 200, "x", "GET", "/v2/public/a/blobs/"+sum("x"), "", basic("bob"))
	r.want(t, 200, "x", "GET", "/v2/public/a/blobs/"+sum("x"), "")
	r.want(t, 403, "", "GET", "/v2/private/blobs/"+sum("x"), "", basic("bob"))
	r.want(t, 200, "", "GET", "/metrics", "", basic("alice"))

	rules(t, root, `{"rules": [{"subjects": ["user:bob"], "repositories": ["*"], "actions": ["pull"]}]}`)
	r.Reload()
	r.want(t, 403, "", "POST", "/v2/public/a/blobs/uploads/?digest="+sum("x"), "x", basic("alice"))
	rules(t, root, `{"rules": [{"subjects": ["everybody"]}]}`)
	r.Reload()
	r.want(t, 200, "x", "GET", "/v2/public/a/blobs/"+sum("x"), "", basic("bob"))
	if log := r.log.String(); !strings.Contains(log, "policy.json:1:") {
		t.Errorf("nothing is said of bad rules: %s", log)
	}
}

// A repository may not be known by what a token costs, or a path that is not clean.
func TestPathsBeside(t *testing.T) {
	root := t.TempDir()
	addUser(t, root, "alice")
	r := start(t, root)
	for path, status := range map[string]int{
		"/metrics/": 401, "/metrics/x": 401, "//metrics": 404, "/./metrics": 404, "/x/../metrics": 404, "/token/": 404, "/": 404, "/debug/pprof/": 404,
	} {
		if got := r.ask(t, "GET", path, ""); got.StatusCode != status {
			t.Errorf("%s: %d, want %d", path, got.StatusCode, status)
		}
	}
}

func TestSelfSigned(t *testing.T) {
	r := start(t, t.TempDir(), "--tls-self-signed")
	raw, err := os.ReadFile(r.CA())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(raw)
	c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
	resp, err := c.Get(r.URL() + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
}

func TestAdminAddr(t *testing.T) {
	root := t.TempDir()
	addUser(t, root, "alice")
	r := start(t, root, "--admin-addr=127.0.0.1:0")
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/goroutine"} {
		resp, err := http.Get("http://" + r.AdminAddr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

// The access log has a line of JSON for each request, and none of what is secret.
func TestAccessLog(t *testing.T) {
	root, file := t.TempDir(), filepath.Join(t.TempDir(), "access")
	addUser(t, root, "alice")
	r := start(t, root, "--log-access="+file)
	r.want(t, 200, "", "GET", "/v2/", "", basic("alice"))
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var line struct {
		Identity, Endpoint string
		Status             int
	}
	if err := json.Unmarshal(raw, &line); err != nil || line.Identity != "alice" || line.Endpoint != "check the API" || line.Status != 200 {
		t.Errorf("%s: %v", raw, err)
	}
	if strings.Contains(string(raw), "secret") || strings.Contains(string(raw), "Basic") {
		t.Errorf("%s", raw)
	}
}
