package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step6-client/client"
	"shibafu.dev/step6-client/credential"
	"shibafu.dev/step6-client/wire"
	"shibafu.dev/step7-security/observe/metrics"
)

// started is where a registry listens, once it says so.
type started struct{ line chan string }

func (s *started) Write(p []byte) (int, error) {
	s.line <- string(p)
	return len(p), nil
}

// serve runs a registry with the users alice and bob, and returns its URL.
func serve(t *testing.T, o options) string {
	t.Helper()
	addUsers(t, o.root, "alice", "bob")
	o.addr = "127.0.0.1:0"
	ctx, cancel := context.WithCancel(t.Context())
	out, ended := &started{make(chan string, 1)}, make(chan error, 1)
	go func() { ended <- run(ctx, o, out, t.Output()) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case line := <-out.line:
		var root, url string
		if n, err := fmt.Sscanf(line, "serving %s on %s", &root, &url); n != 2 {
			t.Fatalf("%q: %v", line, err)
		}
		return url
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	return ""
}

// as is a client of somebody's; "" is nobody.
func as(t *testing.T, url, user string, o wire.Options) *client.Client {
	t.Helper()
	if user != "" {
		o.Credentials = credential.Fixed{Username: user, Password: user + "'s secret"}
	}
	scheme, host, _ := strings.Cut(url, "://")
	o.Scheme = scheme
	c, err := client.New(host, client.Options{Options: o})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// push pushes an artifact and tags it v1.
func push(t *testing.T, c *client.Client, name ref.Name) error {
	t.Helper()
	blob := []byte("{}")
	d := oci.Descriptor{MediaType: "application/vnd.oci.empty.v1+json", Digest: digest.FromBytes(blob), Size: int64(len(blob))}
	if err := c.PushBlob(t.Context(), name, d, client.BytesContent(blob)); err != nil {
		return err
	}
	raw := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":"text/plain","config":{"mediaType":%q,"digest":%q,"size":2},"layers":[]}`, oci.MediaTypeImageManifest, d.MediaType, d.Digest)
	m, err := manifest.Parse(oci.MediaTypeImageManifest, raw)
	if err != nil {
		t.Fatal(err)
	}
	return c.PushManifest(t.Context(), name, repo.Push{Digest: digest.FromBytes(raw), Raw: raw, Manifest: m, Tags: []ref.Tag{ref.MustTag("v1")}})
}

func pull(t *testing.T, c *client.Client, name ref.Name) error {
	_, _, err := c.Manifest(t.Context(), name, ref.ByTag(ref.MustTag("v1")))
	return err
}

// Without rules users may use the registry, and nobody else may.
func TestUsersMayUse(t *testing.T) {
	url := serve(t, options{root: t.TempDir()})
	name := ref.MustName("team/app")
	alice, nobody := as(t, url, "alice", wire.Options{}), as(t, url, "", wire.Options{})
	if err := push(t, alice, name); err != nil {
		t.Fatal(err)
	}
	if err := pull(t, alice, name); err != nil {
		t.Error(err)
	}
	if err := pull(t, nobody, name); !errors.Is(err, ocierr.Unauthorized) && !errors.Is(err, ocierr.Denied) {
		t.Errorf("nobody pulls: %v", err)
	}
	if err := push(t, nobody, name); !errors.Is(err, ocierr.Unauthorized) && !errors.Is(err, ocierr.Denied) {
		t.Errorf("nobody pushes: %v", err)
	}
	names, _, err := alice.Repositories(t.Context(), "", client.All)
	if err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
}

// Rules say who may do what, and those who may not see a repository cannot tell it from
// one that is not there.
func TestRules(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules.json")
	const text = `{"rules": [
		{"subjects": ["user:alice"], "repositories": ["team/**"], "actions": ["pull", "push"]},
		{"subjects": ["user:bob"], "repositories": ["team/**"], "actions": ["pull"]},
		{"subjects": ["anonymous"], "repositories": ["team/public"], "actions": ["pull"]}
	]}`
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	url := serve(t, options{root: t.TempDir(), rules: rules})
	app, public, other := ref.MustName("team/app"), ref.MustName("team/public"), ref.MustName("other/app")
	alice, bob, nobody := as(t, url, "alice", wire.Options{}), as(t, url, "bob", wire.Options{}), as(t, url, "", wire.Options{})
	for _, name := range []ref.Name{app, public} {
		if err := push(t, alice, name); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		err  error
		want error
	}{
		{"bob pulls", pull(t, bob, app), nil},
		{"bob pushes", push(t, bob, app), ocierr.Denied},
		{"nobody pulls what is public", pull(t, nobody, public), nil},
		{"nobody pulls what is not", pull(t, nobody, app), ocierr.Unauthorized},
		{"alice pushes elsewhere", push(t, alice, other), ocierr.Denied},
		{"alice pulls what is not there", pull(t, alice, ref.MustName("team/none")), ocierr.NameUnknown},
		{"alice pulls elsewhere", pull(t, alice, other), ocierr.Denied},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, tt.err, tt.want)
		}
	}
}

func TestTLS(t *testing.T) {
	root := t.TempDir()
	url := serve(t, options{root: root, secure: true})
	ca := filepath.Join(own(root), "tls", "ca.pem")
	if err := as(t, url, "alice", wire.Options{CAFile: ca}).Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := as(t, url, "alice", wire.Options{}).Ping(t.Context()); err == nil {
		t.Error("it is trusted by those who were not told to")
	}
}

// The figures are for this machine and for administrators, who are none without rules.
func TestMetrics(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules.json")
	const text = `{"rules": [{"subjects": ["user:alice"], "repositories": ["*"], "actions": ["admin"]},
		{"subjects": ["user:bob"], "repositories": ["**"], "actions": ["pull", "push", "delete", "catalog"]}]}`
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	addUsers(t, root, "alice", "bob")
	with := func(rules string) http.Handler {
		counted := &metrics.Registry{}
		g, err := newGuards(options{root: root, rules: rules}, counted, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return g.Handler(http.NotFoundHandler(), map[string]http.Handler{"metrics": figures(counted, g)})
	}
	ruled, unruled := with(rules), with("")
	tests := []struct {
		name, from, user, header string
		guards                   http.Handler
		want                     int
	}{
		{"this machine", "127.0.0.1:1", "", "", unruled, 200},
		{"this machine, IPv6", "[::1]:1", "", "", unruled, 200},
		{"passed on by a proxy of this machine", "127.0.0.1:1", "", "X-Forwarded-For", unruled, 401},
		{"passed on, otherwise", "127.0.0.1:1", "", "Forwarded", unruled, 401},
		{"elsewhere", "192.0.2.1:1", "", "", unruled, 401},
		{"a user without rules", "192.0.2.1:1", "alice", "", unruled, 403},
		{"an administrator", "192.0.2.1:1", "alice", "", ruled, 200},
		{"a user who may do all to repositories", "192.0.2.1:1", "bob", "", ruled, 403},
		{"a wrong password", "192.0.2.1:1", "eve", "", ruled, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/metrics", nil)
			r.RemoteAddr = tt.from
			if tt.user != "" {
				r.SetBasicAuth(tt.user, tt.user+"'s secret")
			}
			if tt.header != "" {
				r.Header.Set(tt.header, "for=192.0.2.1")
			}
			w := httptest.NewRecorder()
			tt.guards.ServeHTTP(w, r)
			if w.Code != tt.want || (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
				t.Errorf("%d, %v, want %d", w.Code, w.Header(), tt.want)
			}
		})
	}
}

func TestRequestsAreCounted(t *testing.T) {
	url := serve(t, options{root: t.TempDir()})
	if err := push(t, as(t, url, "alice", wire.Options{}), ref.MustName("a")); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if want := `shibafu_http_requests_total{endpoint="push manifest",method="PUT",status="201"} 1`; err != nil || !strings.Contains(string(text), want) {
		t.Errorf("%v, no %s in\n%s", err, want, text)
	}
}
