package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/keys"
)

// A token is good for what it names: each endpoint, with each set of actions. To push is
// not to delete.
func TestTokensAreGoodForWhatTheyName(t *testing.T) {
	reg := guarded(t.Context(), t, options{root: t.TempDir(), rules: file(t, "user:alice own/** pull,push,delete", "user:alice * catalog")}, io.Discard, "alice")
	const name = "own/app"
	for mask := range 8 {
		var actions []string
		for i, action := range []string{"pull", "push", "delete"} {
			if mask&(1<<i) != 0 {
				actions = append(actions, action)
			}
		}
		token := reg.token("alice", "")
		if len(actions) > 0 {
			token = reg.token("alice", "repository:"+name+":"+strings.Join(actions, ","))
		}
		for e := range endpoint.All() {
			want := http.StatusUnauthorized
			if e.Action == endpoint.Ping || slices.Contains(actions, string(e.Action)) {
				want = http.StatusOK
			}
			for _, method := range e.Methods {
				got := reg.ask(method, pathOf(e, name, "v1", someDigest, someSession), token, "")
				if got.status != want || want != http.StatusOK && !strings.Contains(got.header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
					t.Errorf("%v: %s %s: %d, want %d; %s", actions, method, e.Name, got.status, want, got.header.Get("WWW-Authenticate"))
				}
				if got := reg.ask(method, pathOf(e, name+"2", "v1", someDigest, someSession), token, ""); e.Action != endpoint.Ping && got.status != http.StatusUnauthorized {
					t.Errorf("%v: %s %s of another repository: %d", actions, method, e.Name, got.status)
				}
			}
		}
	}
}

// mint signs claims with the registry's own key.
func mint(t *testing.T, root, kind string, claims map[string]any) string {
	t.Helper()
	k, err := keys.Open(filepath.Join(own(root), "keys"), keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := k.Signer().Sign(kind, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func segment(v any) string {
	raw, _ := json.Marshal(v) // of maps of texts
	return base64.RawURLEncoding.EncodeToString(raw)
}

func claimsOf(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	for i, into := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// Only what was signed here, for here, as what it is used for, and not for too long ago,
// lets anybody in; and nothing that a token says makes the registry call somebody.
func TestForgedTokens(t *testing.T) {
	root := t.TempDir()
	reg := guarded(t.Context(), t, options{root: root, rules: file(t, "user:alice own/** pull,push,delete")}, io.Discard, "alice", "bob")
	var called atomic.Int64
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Add(1) }))
	defer evil.Close()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}

	issued := reg.issue("alice", "repository:own/app:pull")
	header, claims := claimsOf(t, issued.Token)
	ours := func(kind string, change map[string]any) string {
		c := maps.Clone(claims)
		maps.Copy(c, change)
		maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
		return mint(t, root, kind, c)
	}
	theirs := func(change map[string]any) string {
		h := maps.Clone(header)
		maps.Copy(h, change)
		signed := segment(h) + "." + segment(claims)
		return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(private, []byte(signed)))
	}
	jwk := map[string]string{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(public), "kid": fmt.Sprint(header["kid"])}
	parts := strings.Split(issued.Token, ".")
	now := time.Now().Unix()
	tests := []struct {
		name, token string
		want        int
	}{
		{"as it was issued", issued.Token, http.StatusOK},
		{"minted like it", ours("JWT", nil), http.StatusOK},

		{"for another service", ours("JWT", map[string]any{"aud": "other"}), http.StatusUnauthorized},
		{"for no service", ours("JWT", map[string]any{"aud": nil}), http.StatusUnauthorized},
		{"of another issuer", ours("JWT", map[string]any{"iss": "other"}), http.StatusUnauthorized},
		{"expired", ours("JWT", map[string]any{"exp": now - 3600}), http.StatusUnauthorized},
		{"without an end", ours("JWT", map[string]any{"exp": nil}), http.StatusUnauthorized},
		{"not yet", ours("JWT", map[string]any{"nbf": now + 3600}), http.StatusUnauthorized},
		{"of nobody's kind", ours("JWT", map[string]any{"shibafu": map[string]any{"kind": "admin"}}), http.StatusUnauthorized},
		{"of another version of the password", ours("JWT", map[string]any{"shibafu": map[string]any{"kind": "user", "version": "0"}}), http.StatusUnauthorized},
		{"of another user", ours("JWT", map[string]any{"sub": "bob"}), http.StatusUnauthorized},
		{"of who is no user", ours("JWT", map[string]any{"sub": "eve"}), http.StatusUnauthorized},
		{"a refresh token", issued.RefreshToken, http.StatusUnauthorized},

		{"another's key under our key's name", theirs(nil), http.StatusUnauthorized},
		{"and brought along, jwk", theirs(map[string]any{"jwk": jwk}), http.StatusUnauthorized},
		{"jku", theirs(map[string]any{"jku": evil.URL}), http.StatusUnauthorized},
		{"x5u", theirs(map[string]any{"x5u": evil.URL}), http.StatusUnauthorized},
		{"x5c", theirs(map[string]any{"x5c": []string{"MIIB"}}), http.StatusUnauthorized},
		{"the key's name is a path", theirs(map[string]any{"kid": "../../../../dev/null"}), http.StatusUnauthorized},
		{"the key's name is a URL", theirs(map[string]any{"kid": evil.URL}), http.StatusUnauthorized},
		{"its issuer is a URL", "x." + segment(map[string]string{"iss": evil.URL}) + ".x", http.StatusUnauthorized},
		{"no algorithm", segment(map[string]any{"alg": "none", "typ": "JWT", "kid": header["kid"]}) + "." + parts[1] + ".", http.StatusUnauthorized},
		{"no signature", parts[0] + "." + parts[1] + ".", http.StatusUnauthorized},
		{"more rights written into it", parts[0] + "." + segment(map[string]any{"sub": "alice"}) + "." + parts[2], http.StatusUnauthorized},
		{"many dots", strings.Repeat(".", 100_000), http.StatusUnauthorized},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := reg.ask("GET", "/v2/own/app/tags/list", "Bearer "+tt.token, "")
			if got.status != tt.want {
				t.Errorf("%d %s, want %d", got.status, got.body, tt.want)
			}
			if tt.want != http.StatusOK && !strings.Contains(got.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
				t.Errorf("challenge %s", got.header.Get("WWW-Authenticate"))
			}
		})
	}
	if n := called.Load(); n != 0 {
		t.Errorf("somebody was called %d times", n)
	}
}

// A token is never good for what is not of repositories, nor for another token.
func TestTokensAreForRepositories(t *testing.T) {
	reg := guarded(t.Context(), t, options{root: t.TempDir(), rules: file(t, "user:alice * admin")}, io.Discard, "alice")
	token := reg.token("alice", "registry:catalog:* repository:app:*")
	reg.answers(http.StatusOK, "GET", "/metrics", "alice", "")
	reg.answers(http.StatusUnauthorized, "GET", "/metrics", token, "")
	reg.answers(http.StatusUnauthorized, "GET", "/token", token, "")
	const form = "Content-Type: application/x-www-form-urlencoded"
	body := "grant_type=refresh_token&service=shibafu&refresh_token="
	reg.answers(http.StatusUnauthorized, "POST", "/token", "", body+strings.TrimPrefix(token, "Bearer "), form)
	reg.answers(http.StatusOK, "POST", "/token", "", body+reg.issue("alice", "").RefreshToken, form)
}

// Whatever is taken away is taken from tokens too, which were shown a moment ago.
func TestTokensEndWithWhatIsTakenAway(t *testing.T) {
	rules := []string{"group:team team/** pull", "user:alice own/** pull"}
	tests := []struct {
		name, repository string
		take             func(t *testing.T, users, rules string)
		want             int
	}{
		{"out of the group", "team/app", edits(func(d *auth.Directory) error { return d.Leave("team", "alice") }), http.StatusForbidden},
		{"the group is gone", "team/app", edits(func(d *auth.Directory) error { d.Groups = nil; return nil }), http.StatusForbidden},
		{"the user is gone", "own/app", edits(func(d *auth.Directory) error { return d.RemoveUser("alice") }), http.StatusUnauthorized},
		{"disabled", "own/app", edits(func(d *auth.Directory) error {
			e := d.Users["alice"]
			e.Disabled = true
			d.Users["alice"] = e
			return nil
		}), http.StatusUnauthorized},
		{"another password", "own/app", func(t *testing.T, users, _ string) {
			setPassword(t, filepath.Dir(filepath.Dir(users)), "alice", "another")
		}, http.StatusUnauthorized},
		{"the rule is gone", "own/app", func(t *testing.T, _, path string) { write(t, path, rules[0]) }, http.StatusForbidden},
		{"nothing", "own/app", func(*testing.T, string, string) {}, http.StatusOK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				root, path := t.TempDir(), file(t, rules...)
				users := filepath.Join(own(root), "users.json")
				reg := guarded(t.Context(), t, options{root: root, rules: path}, io.Discard, "alice")
				edits(func(d *auth.Directory) error { return d.Join("team", "alice") })(t, users, path)
				time.Sleep(2 * auth.DefaultInterval)
				token := reg.token("alice", "repository:"+tt.repository+":pull")
				reg.answers(http.StatusOK, "GET", "/v2/"+tt.repository+"/tags/list", token, "")
				tt.take(t, users, path)
				time.Sleep(auth.DefaultInterval + time.Second)
				reg.answers(tt.want, "GET", "/v2/"+tt.repository+"/tags/list", token, "")
			})
		})
	}
}

// edits is a change of the file of users.
func edits(change func(d *auth.Directory) error) func(t *testing.T, users, rules string) {
	return func(t *testing.T, users, _ string) {
		t.Helper()
		if err := auth.Edit(users, change); err != nil {
			t.Fatal(err)
		}
	}
}
