package issuer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/issuer"
	"shibafu.dev/step7-security/auth/jwt"
)

const file = `{"issuers": [
 {"id": "github", "issuer": "https://ci.test", "audience": "reg", "keys_url": "https://ci.test/keys",
  "rules": [{"when": {"owner": ["acme"], "ref": ["refs/heads/main", "refs/tags/*"]}, "name": "{repository}", "groups": ["release"]},
            {"when": {"owner": ["acme"]}, "name": "acme", "groups": ["ci"]}],
  "keep": ["repository", "ref", "absent"]},
 {"id": "k8s", "issuer": "https://cluster.test", "audience": "reg", "keys_url": "https://cluster.test/keys",
  "rules": [{"when": {"kubernetes.io.namespace": ["prod-*"]}}]},
 {"id": "gitlab", "issuer": "gitlab-issuer", "audience": "container_registry", "keys_url": "https://gitlab.test/keys", "grants": true}
]}`

// world is one issuer's key at every URL.
type world struct {
	signer  jwt.Signer
	set     jwt.Set
	fetched []string
	fail    error
	hold    chan struct{}
	*issuer.Set
}

func (w *world) Fetch(ctx context.Context, url string, allow []netip.Prefix) ([]byte, error) {
	w.fetched = append(w.fetched, url)
	if w.hold != nil {
		<-w.hold
	}
	if w.fail != nil {
		return nil, w.fail
	}
	return json.Marshal(w.set)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	w.rotate(t)
	all, err := issuer.Parse([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	w.Set = issuer.New(all, w)
	return w
}

func (w *world) rotate(t *testing.T) {
	t.Helper()
	s, err := jwt.Generate(jwt.ES256)
	if err != nil {
		t.Fatal(err)
	}
	w.signer, w.set = s, jwt.NewSet(s.Key())
}

func (w *world) token(t *testing.T, claims string) string {
	t.Helper()
	token, err := w.signer.Sign("JWT", json.RawMessage(fmt.Sprintf(`{"exp":%d,%s}`, time.Now().Add(5*time.Minute).Unix(), claims)))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

const github = `"iss":"https://ci.test","aud":"reg","sub":"s"`

func TestIdentify(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		name, claims string
		want         string // the name and the groups; "" for ErrCredentials
	}{
		{"first rule", github + `,"owner":"acme","ref":"refs/heads/main","repository":"acme/app"`, "oidc$github:acme/app ci release"},
		{"glob", github + `,"owner":"acme","ref":"refs/tags/v1/x","repository":"acme/app"`, "oidc$github:acme/app ci release"},
		{"second rule", github + `,"owner":"acme","ref":"refs/heads/x"`, "oidc$github:acme ci"},
		{"no rule", github + `,"owner":"evil","ref":"refs/heads/main","repository":"acme/app"`, ""},
		{"longer owner", github + `,"owner":"acme2","ref":"refs/heads/main","repository":"acme/app"`, ""},
		{"one of a list", github + `,"owner":["x","acme"],"ref":"x"`, "oidc$github:acme ci"},
		{"claim without a value", github + `,"owner":null`, ""},
		{"the name's claim is missing", github + `,"owner":"acme","ref":"refs/heads/main"`, ""},
		{"the name has a space", github + `,"owner":"acme","ref":"refs/heads/main","repository":"a b"`, ""},
		{"nested claim", `"iss":"https://cluster.test","aud":["x","reg"],"sub":"system:serviceaccount:prod-1:build","kubernetes.io":{"namespace":"prod-1"}`, "oidc$k8s:system:serviceaccount:prod-1:build"},
		{"nested claim of two kinds", `"iss":"https://cluster.test","aud":"reg","sub":"s","kubernetes.io":{"namespace":"prod-1"},"kubernetes":{"io.namespace":"prod-1"}`, ""},
		{"a long claim to keep", github + `,"owner":"acme","ref":"` + strings.Repeat("x", 513) + `"`, ""},
		{"another audience", strings.Replace(github, "reg", "other", 1) + `,"owner":"acme","ref":"x"`, ""},
		{"unknown issuer", `"iss":"https://evil.test","aud":"reg","sub":"s","owner":"acme"`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := w.Identify(t.Context(), w.token(t, tt.claims))
			if tt.want == "" {
				if !errors.Is(err, auth.ErrCredentials) {
					t.Errorf("Identify = %+v, %v", c, err)
				}
				return
			}
			if got := strings.Join(append([]string{c.Identity.Name}, c.Identity.Groups...), " "); err != nil || got != tt.want || c.Identity.Kind != auth.OIDC || c.Grant != nil {
				t.Errorf("Identify = %q, %+v, %v; want %q", got, c, err, tt.want)
			}
		})
	}
}

func TestKeptClaims(t *testing.T) {
	w := newWorld(t)
	c, err := w.Identify(t.Context(), w.token(t, github+`,"owner":"acme","ref":"refs/heads/main","repository":"acme/app","secret":"x"`))
	want := map[string][]string{"repository": {"acme/app"}, "ref": {"refs/heads/main"}}
	if err != nil || !reflect.DeepEqual(c.Identity.Claims, want) || c.Identity.Expires.IsZero() {
		t.Errorf("Identify = %+v, %v", c, err)
	}
}

func TestIssuerDecides(t *testing.T) {
	w := newWorld(t)
	c, err := w.Identify(t.Context(), w.token(t, `"iss":"gitlab-issuer","aud":"container_registry","sub":"root","access":[{"type":"repository","name":"group/app","actions":["pull","push"]}]`))
	if err != nil || c.Grant == nil || !c.Grant.Final || c.Identity.Name != "oidc$gitlab:root" {
		t.Fatalf("Identify = %+v, %v", c, err)
	}
	if !c.Grant.Access.Has(ref.MustName("group/app"), endpoint.Push) || c.Grant.Access.Has(ref.MustName("group/other"), endpoint.Pull) {
		t.Errorf("access %v", c.Grant.Access)
	}
	if c, err := w.Identify(t.Context(), w.token(t, `"iss":"gitlab-issuer","aud":"container_registry","sub":"root","access":"all"`)); !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("strange access: %+v, %v", c, err)
	}
}

func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		identify := func(fetches int, want error, reason string) {
			t.Helper()
			before := len(w.fetched)
			_, err := w.Identify(t.Context(), w.token(t, github+`,"owner":"acme"`))
			if !errors.Is(err, want) || len(w.fetched)-before != fetches {
				t.Fatalf("%v after %d fetches, want %v after %d: %s", err, len(w.fetched)-before, want, fetches, reason)
			}
		}
		w.fail = errors.New("down")
		identify(1, auth.ErrUnavailable, "no keys yet")
		identify(0, auth.ErrUnavailable, "asked a moment ago")
		w.fail = nil
		time.Sleep(10 * time.Second)
		identify(1, nil, "the first keys")
		identify(0, nil, "known")
		time.Sleep(10 * time.Second)
		w.rotate(t)
		identify(1, nil, "a new key")
		w.rotate(t)
		identify(0, auth.ErrCredentials, "asked a moment ago")
		time.Sleep(10 * time.Second)
		identify(1, nil, "again")
		time.Sleep(time.Hour)
		identify(1, nil, "the keys are old")
		w.fail = errors.New("down")
		time.Sleep(2 * time.Hour)
		identify(1, nil, "old keys are better than none")
		time.Sleep(22 * time.Hour)
		identify(1, auth.ErrUnavailable, "but not for ever")
	})
}

// Whoever comes while the first keys are on their way waits for them; they come once.
func TestFirstKeysComeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.hold = make(chan struct{})
		token := w.token(t, github+`,"owner":"acme"`)
		done := make(chan error)
		for range 5 {
			go func() { _, err := w.Identify(t.Context(), token); done <- err }()
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.Identify(ctx, token); !errors.Is(err, context.Canceled) || errors.Is(err, auth.ErrCredentials) {
			t.Errorf("of who has left: %v", err)
		}
		close(w.hold)
		for range 5 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if !slices.Equal(w.fetched, []string{"https://ci.test/keys"}) {
			t.Errorf("fetched %v", w.fetched)
		}
	})
}

// Keys named in a token lead nowhere.
func TestUnknownIssuersAreNotAsked(t *testing.T) {
	w := newWorld(t)
	for _, claims := range []string{`"iss":"https://evil.test","aud":"reg"`, `"iss":"https://ci.test/","aud":"reg"`, `"aud":"reg"`} {
		if _, err := w.Identify(t.Context(), w.token(t, claims)); !errors.Is(err, auth.ErrCredentials) {
			t.Error(err)
		}
	}
	if len(w.fetched) != 0 {
		t.Errorf("fetched %v", w.fetched)
	}
}

func TestKeysInAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		path := filepath.Join(t.TempDir(), "keys.json")
		write := func() {
			raw, err := json.Marshal(w.set)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write()
		set := issuer.New([]issuer.Issuer{{ID: "x", Issuer: "x", Audience: "reg", KeysFile: path, Grants: true}}, nil)
		old := w.token(t, `"iss":"x","aud":"reg","sub":"s"`)
		if _, err := set.Identify(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		w.rotate(t)
		write()
		time.Sleep(10 * time.Second)
		if _, err := set.Identify(t.Context(), old); !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("a key that is gone: %v", err)
		}
		if _, err := set.Identify(t.Context(), w.token(t, `"iss":"x","aud":"reg","sub":"s"`)); err != nil {
			t.Errorf("a new key: %v", err)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	const start = `{"issuers": [{"id": "a", "issuer": "i", "audience": "r", `
	const rule = `"rules": [{"when": {"x": ["y"]}}]`
	tests := []struct{ name, text, want string }{
		{"not JSON", "{\n\"issuers\": x}", "line 2: not JSON"},
		{"unknown field", "{\n\"issuer\": []}", `line 2: unknown field "issuer"`},
		{"no id", `{"issuers": [{"issuer": "i", "audience": "r", "keys_url": "https://x", ` + rule + `}]}`, "the id is not"},
		{"no audience", `{"issuers": [{"id": "a", "issuer": "i", "keys_url": "https://x", ` + rule + `}]}`, "issuer and audience"},
		{"no keys", start + rule + `}]}`, "one of keys_url and keys_file"},
		{"two kinds of keys", start + `"keys_url": "https://x", "keys_file": "y", ` + rule + `}]}`, "one of keys_url and keys_file"},
		{"plain http", start + `"keys_url": "http://x", ` + rule + `}]}`, "keys_url must be https"},
		{"networks for a file", start + `"keys_file": "x", "keys_allow": ["10.0.0.0/8"], ` + rule + `}]}`, "is for a keys_url"},
		{"no network", start + `"keys_url": "https://x", "keys_allow": ["10.0.0.0"], ` + rule + `}]}`, "no '/'"},
		{"bits behind the end", start + `"keys_url": "https://x", "keys_allow": ["10.1.0.0/8"], ` + rule + `}]}`, "bits behind its end"},
		{"IPv4 as IPv6", start + `"keys_url": "https://x", "keys_allow": ["::ffff:10.0.0.0/104"], ` + rule + `}]}`, "IPv4 written as IPv6"},
		{"no rules", start + `"keys_url": "https://x"}]}`, "without a rule"},
		{"empty rule", start + `"keys_url": "https://x", "rules": [{"groups": ["g"]}]}]}`, `"when" is empty`},
		{"claim without texts", start + `"keys_url": "https://x", "rules": [{"when": {"x": []}}]}]}`, "never fits"},
		{"group", start + `"keys_url": "https://x", "rules": [{"when": {"x": ["y"]}, "groups": [" "]}]}]}`, "a group's name"},
		{"open brace", start + `"keys_url": "https://x", "rules": [{"when": {"x": ["y"]}, "name": "a{b"}]}]}`, "braces"},
		{"closing brace", start + `"keys_url": "https://x", "rules": [{"when": {"x": ["y"]}, "name": "a}b"}]}]}`, "braces"},
		{"twice", `{"issuers": [` + strings.Repeat(`{"id": "a", "issuer": "i", "audience": "r", "keys_url": "https://x", `+rule+`},`, 2) + `{}]}`, "that of another"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if all, err := issuer.Parse([]byte(tt.text)); !errors.Is(err, issuer.ErrConfig) || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("Parse = %v, %v; want %q", all, err, tt.want)
			}
		})
	}
}

// asked is a Fetcher that notes what it may reach.
type asked []netip.Prefix

func (a *asked) Fetch(_ context.Context, _ string, allow []netip.Prefix) ([]byte, error) {
	*a = allow
	return []byte(`{"keys": []}`), nil
}

func TestAllow(t *testing.T) {
	tests := []struct{ name, url, allow, want string }{
		{"the internet", "https://ci.test/keys", "", "[]"},
		{"a network inside", "https://gitlab.internal/keys", `"10.0.0.0/8"`, "[10.0.0.0/8]"},
		{"this machine", "http://127.0.0.1:8080/keys", "", "[127.0.0.0/8 ::1/128]"},
		{"this machine by name", "https://localhost/keys", "", "[127.0.0.0/8 ::1/128]"},
		{"a name that only sounds like it", "https://localhost.example/keys", "", "[]"},
	}
	w := newWorld(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all, err := issuer.Parse(fmt.Appendf(nil, `{"issuers": [{"id": "a", "issuer": "i", "audience": "r", "grants": true, "keys_url": %q, "keys_allow": [%s]}]}`, tt.url, tt.allow))
			if err != nil {
				t.Fatal(err)
			}
			var a asked
			_, err = issuer.New(all, &a).Identify(t.Context(), w.token(t, `"iss":"i","aud":"r","sub":"s"`))
			if got := fmt.Sprint(a); !errors.Is(err, auth.ErrCredentials) || got != tt.want {
				t.Errorf("may reach %s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

// What an issuer may be reached by is what its file says now.
func TestAllowReloads(t *testing.T) {
	w, path := newWorld(t), filepath.Join(t.TempDir(), "issuers.json")
	var a asked
	var f *issuer.File
	for _, allow := range []string{"10.0.0.0/8", "10.1.0.0/16"} {
		text := fmt.Sprintf(`{"issuers": [{"id": "a", "issuer": "i", "audience": "r", "grants": true, "keys_url": "https://x.test", "keys_allow": [%q]}]}`, allow)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var err error
		if f == nil {
			f, err = issuer.Open(path, &a)
		} else {
			err = f.Reload()
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Identify(t.Context(), w.token(t, `"iss":"i","aud":"r","sub":"s"`))
		if got := fmt.Sprint(a); !errors.Is(err, auth.ErrCredentials) || got != "["+allow+"]" {
			t.Errorf("may reach %s, %v; want %s", got, err, allow)
		}
	}
}
