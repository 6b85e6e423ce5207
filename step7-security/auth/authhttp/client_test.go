package authhttp_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/pullhttp"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step4-upload/uploadhttp"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step5-manifest/repohttp"
	"shibafu.dev/step6-client/client"
	"shibafu.dev/step6-client/credential"
	"shibafu.dev/step6-client/wire"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/authhttp"
)

// guarded is the registry of step 5 behind a guard, with a blob and an image in each of
// the repositories named.
type guarded struct {
	*server
	host  string
	blobs map[string]digest.Digest
}

func newGuarded(t *testing.T, names ...string) *guarded {
	t.Helper()
	g := &guarded{server: newServer(t, authhttp.Options{}, auth.Options{}), blobs: map[string]digest.Digest{}}
	b := mem.New()
	store := cas.New(b, cas.Distribution)
	repos := repo.New(b, repo.CASBlobs{Store: store}, repo.Options{CanPull: g.guard.CanPull})
	uploads, err := upload.New(t.Context(), store, repos.CommitBlob, upload.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	// One mux with the guard and one without, to put things there.
	guarded, open := api.NewMux(slog.New(slog.DiscardHandler)), api.NewMux(slog.New(slog.DiscardHandler))
	guarded.Use(g.guard.Middleware)
	for _, mux := range []*api.Mux{guarded, open} {
		ports := repohttp.Ports{Store: repos}
		mux.Handle(endpoint.Base, api.Base)
		pullhttp.RegisterBlobs(mux, ports)
		pullhttp.RegisterManifests(mux, ports)
		uploadhttp.Register(mux, uploads, ports)
		repohttp.RegisterPush(mux, repos, manifest.MaxSize)
		repohttp.RegisterDelete(mux, repos)
		repohttp.RegisterLists(mux, repos, repos, repos)
	}
	root := http.NewServeMux()
	root.Handle("/", guarded)
	root.Handle(authhttp.TokenPath, g.guard.Tokens())
	g.host = listen(t, root)
	inside := newClient(t, listen(t, open), credential.Credential{})
	for _, name := range names {
		if g.blobs[name], err = push(t, inside, name); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func listen(t *testing.T, h http.Handler) (host string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func newClient(t *testing.T, host string, c credential.Credential) *client.Client {
	t.Helper()
	made, err := client.New(host, client.Options{Options: wire.Options{Credentials: credential.Fixed(c)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(made.Close)
	return made
}

// push pushes a blob and an image with it, named latest.
func push(t *testing.T, c *client.Client, name string) (digest.Digest, error) {
	t.Helper()
	n := ref.MustName(name)
	d, size, err := c.PushStream(t.Context(), n, digest.SHA256, strings.NewReader("of "+name))
	if err != nil {
		return d, err
	}
	const kind = "application/vnd.oci.image.manifest.v1+json"
	raw := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/x","digest":%q,"size":%d},"layers":[]}`, kind, d, size)
	m, err := manifest.Parse(kind, []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return d, c.PushManifest(t.Context(), n, repo.Push{Digest: digest.FromBytes([]byte(raw)), Raw: []byte(raw), Manifest: m, Tags: []ref.Tag{ref.MustTag("latest")}})
}

func pull(t *testing.T, c *client.Client, name string) error {
	t.Helper()
	_, _, err := c.Manifest(t.Context(), ref.MustName(name), ref.ByTag(ref.MustTag("latest")))
	return err
}

// Our own client gets in where it should, and is told where it should not.
func TestOwnClient(t *testing.T) {
	g := newGuarded(t, "public", "team/a", "other")
	login := g.raw("GET /token?account=alice&client_id=docker&offline_token=true HTTP/1.1\nAuthorization: " + basic("alice", horse))
	nobody := credential.Credential{}
	alice := credential.Credential{Username: "alice", Password: horse}
	bob := credential.Credential{Username: "bob", Password: horse}
	wrong := credential.Credential{Username: "alice", Password: "x"}
	refresh := credential.Credential{IdentityToken: g.response(login).RefreshToken}
	pushing := func(t *testing.T, c *client.Client, name string) error { _, err := push(t, c, name); return err }
	tests := []struct {
		name string
		who  credential.Credential
		do   func(*testing.T, *client.Client, string) error
		what string
		want error
	}{
		{"nobody pulls what is public", nobody, pull, "public", nil},
		{"nobody pulls what is not", nobody, pull, "team/a", ocierr.Unauthorized},
		{"nobody pulls what is not there", nobody, pull, "absent", ocierr.Unauthorized},
		{"nobody pushes", nobody, pushing, "public", ocierr.Unauthorized},
		{"alice pulls", alice, pull, "team/a", nil},
		{"alice pushes", alice, pushing, "team/a", nil},
		{"alice pulls what is others'", alice, pull, "other", ocierr.Denied},
		{"alice pulls what is not there", alice, pull, "absent", ocierr.Denied},
		{"alice with a wrong password", wrong, pull, "team/a", ocierr.Unauthorized},
		{"alice with what docker keeps after a login", refresh, pushing, "team/a", nil},
		{"bob pulls", bob, pull, "team/a", nil},
		{"bob pushes", bob, pushing, "team/a", ocierr.Denied},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.do(t, newClient(t, g.host, tt.who), tt.what); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// A blob of a repository that somebody may not pull is, to them, not there.
func TestMountNeedsPull(t *testing.T) {
	g := newGuarded(t, "public", "other")
	for from, want := range map[string]int{"public": http.StatusCreated, "other": http.StatusAccepted, "absent": http.StatusAccepted} {
		d := g.blobs[from]
		if from == "absent" {
			d = digest.FromBytes([]byte("absent"))
		}
		r, err := http.NewRequest("POST", "http://"+g.host+"/v2/team/a/blobs/uploads/?mount="+d.String()+"&from="+from, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("alice", horse)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("from %s: %d, want %d", from, resp.StatusCode, want)
		}
	}
}
