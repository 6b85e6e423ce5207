package wire_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/credential"
	"shibafu.dev/step6-client/wire"
)

// places is credentials that differ from one repository to the next, and notes what
// was asked for.
type places struct {
	mu    sync.Mutex
	asked []string
}

func (p *places) Credential(_ context.Context, place string) (credential.Credential, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, place)
	return credential.Credential{Username: "u", Password: "p"}, nil
}

// A repository's own credential goes with requests for it: of several that of the one
// that is changed, and nothing that a challenge says picks another.
func TestCredentialOfARepository(t *testing.T) {
	registry := listen(t, false, func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="x", scope="repository:aaa:push"`)
			w.WriteHeader(401)
		}
	})
	a, b := ref.MustName("team/a"), ref.MustName("team/b")
	for _, tt := range []struct {
		name   string
		scopes []wire.Scope
		place  string
	}{
		{"none", nil, ""},
		{"catalog", []wire.Scope{wire.CatalogScope}, ""},
		{"pull", []wire.Scope{wire.RepositoryScope(b, endpoint.Pull)}, "/team/b"},
		{"push", []wire.Scope{wire.RepositoryScope(a, endpoint.Push)}, "/team/a"},
		{"mount", []wire.Scope{wire.RepositoryScope(a, endpoint.Pull), wire.RepositoryScope(b, endpoint.Push)}, "/team/b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := new(places)
			c := connect(t, registry, wire.Options{Credentials: p})
			for range 2 {
				r := requestTo(registry, "/v2/")
				r.Scopes = tt.scopes
				resp, err := c.Do(t.Context(), r)
				if err != nil || resp.StatusCode != 200 {
					t.Fatal(resp, err)
				}
				wire.Discard(resp)
			}
			if want := []string{c.Origin().Host + ":" + c.Origin().Port + tt.place}; !slices.Equal(p.asked, want) {
				t.Errorf("asked for %q, want %q", p.asked, want)
			}
		})
	}
}

// A registry token goes to the registry as it is, and to no token server; one that is
// refused is not shown again and again.
func TestRegistryToken(t *testing.T) {
	for _, tt := range []struct {
		name, token   string
		status, asked int
	}{
		{"right", "right", 200, 2},
		{"wrong", "wrong", 401, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			registry := listen(t, false, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					t.Error("the token server was asked")
				}
				asked++
				if r.Header.Get("Authorization") != "Bearer right" {
					w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="s"`)
					w.WriteHeader(401)
				}
			})
			c := connect(t, registry, wire.Options{Credentials: credential.Fixed{RegistryToken: tt.token}})
			resp, err := c.Do(t.Context(), requestTo(registry, "/v2/"))
			if err != nil {
				t.Fatal(err)
			}
			wire.Discard(resp)
			if resp.StatusCode != tt.status || asked != tt.asked {
				t.Errorf("status %d after %d requests", resp.StatusCode, asked)
			}
		})
	}
}
