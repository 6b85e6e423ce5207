package server

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step7-security/audit"
)

// audited is what the audit log of a root says, in short.
func audited(t *testing.T, file string) (all []string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(raw) {
		var e audit.Event
		if err := json.Unmarshal(line, &e); err != nil || e.ID == "" || e.Client != "127.0.0.1" {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, strings.Join([]string{string(e.Result), e.Action, e.Identity, e.Repository, e.Reference}, " "))
	}
	return all
}

func TestAuditLog(t *testing.T) {
	root := t.TempDir()
	addUser(t, root, "alice")
	addUser(t, root, "bob")
	rules(t, root, `{"rules": [{"subjects": ["user:alice"], "repositories": ["**"], "actions": ["pull", "push", "delete"]},
		{"subjects": ["user:bob"], "repositories": ["**"], "actions": ["pull"]}]}`)
	r := start(t, root)
	r.want(t, 401, "", "GET", "/v2/", "")
	r.want(t, 201, "", "POST", "/v2/a/blobs/uploads/?digest="+sum("x"), "x", basic("alice"))
	r.want(t, 201, "", "PUT", "/v2/a/manifests/v1", image("x"), basic("alice"), "Content-Type: "+imageType)
	r.want(t, 200, "", "GET", "/v2/a/manifests/v1", "", basic("bob"))
	r.want(t, 403, "", "PUT", "/v2/a/manifests/v1", image("x"), basic("bob"), "Content-Type: "+imageType)
	r.want(t, 401, "", "GET", "/v2/", "", "Authorization: Basic YWxpY2U6d3Jvbmc=")
	r.want(t, 200, "", "GET", "/token?offline_token=true", "", basic("alice"))
	r.want(t, 403, "", "GET", "/metrics", "", basic("alice"))
	file := filepath.Join(own(root), "audit.log")
	before := audited(t, file)
	want := []string{"done push blob alice a ", "done push manifest alice a v1", "refused push manifest bob a v1", "refused check the API   ", "done log in alice  ", "refused metrics alice  "}
	if !slices.Equal(before, want) {
		t.Errorf("got\n%q\nwant\n%q", before, want)
	}
	if err := os.Rename(file, file+".moved"); err != nil {
		t.Fatal(err)
	}
	r.Reload()
	r.want(t, 202, "", "DELETE", "/v2/a/manifests/v1", "", basic("alice"))
	if after := audited(t, file); !slices.Equal(after, []string{"done delete manifest or tag alice a v1"}) {
		t.Errorf("after another program has moved it: %q", after)
	}
}

// Another program moves the access log away, while requests come.
func TestAccessLogIsReopened(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	r := start(t, t.TempDir(), "--log-access="+file)
	r.want(t, 200, "", "GET", "/v2/", "")
	if err := os.Rename(file, file+".moved"); err != nil {
		t.Fatal(err)
	}
	r.want(t, 200, "", "GET", "/v2/", "")
	r.Reload()
	r.want(t, 404, "", "GET", "/v2/a/manifests/v1", "")
	for name, want := range map[string]int{file + ".moved": 2, file: 1} {
		if raw, err := os.ReadFile(name); err != nil || bytes.Count(raw, []byte("\n")) != want {
			t.Errorf("%v, want %d lines: %s", err, want, raw)
		}
	}
}

func TestNoAuditLog(t *testing.T) {
	root := t.TempDir()
	r := start(t, root, "--log-audit=off")
	r.want(t, 201, "", "POST", "/v2/a/blobs/uploads/?digest="+sum("x"), "x")
	if _, err := os.Stat(filepath.Join(own(root), "audit.log")); err == nil {
		t.Error("there is one")
	}
}

func TestHealthAndFigures(t *testing.T) {
	r := start(t, t.TempDir())
	r.want(t, 200, "ok", "GET", "/livez", "")
	r.want(t, 200, "ok", "GET", "/readyz", "")
	r.want(t, 200, `{"ready":true,"checks":[{"name":"storage","ok":true},{"name":"keys","ok":true}]}`, "GET", "/readyz?verbose", "")
	r.want(t, 200, `{"version":"`, "GET", "/version", "")
	r.want(t, 404, "", "GET", "/readyz/more", "")
	figures := r.want(t, 200, "", "GET", "/metrics", "").body
	for _, want := range []string{
		"shibafu_build_info{", "shibafu_health_check_successful{check=\"storage\"} 1\n", "shibafu_upload_sessions 0\n", "shibafu_storage_free_bytes ",
		"shibafu_config_last_reload_successful{file=\"users\"} 1\n", "shibafu_audit_events_total 0\n", "process_open_fds ", "go_goroutines ",
	} {
		if !strings.Contains(figures, "\n"+want) {
			t.Errorf("%q is not among the figures", want)
		}
	}
}

// Where everybody is asked who they are, only health is for all.
func TestWhoSeesFigures(t *testing.T) {
	root := t.TempDir()
	addUser(t, root, "alice")
	addUser(t, root, "bob")
	rules(t, root, `{"rules": [{"subjects": ["user:alice"], "repositories": ["*"], "actions": ["admin"]}]}`)
	r := start(t, root)
	r.want(t, 200, "ok", "GET", "/livez", "")
	r.want(t, 200, "ok", "GET", "/readyz", "")
	for _, path := range []string{"/metrics", "/version"} {
		r.want(t, 401, "", "GET", path, "")
		r.want(t, 403, "", "GET", path, "", basic("bob"))
		r.want(t, 200, "version", "GET", path, "", basic("alice"))
	}
}
