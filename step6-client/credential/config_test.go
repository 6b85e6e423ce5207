package credential_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"shibafu.dev/step6-client/credential"
)

func TestGet(t *testing.T) {
	const config = `{
		"auths": {
			"example.com": {"auth": "dTpw"},
			"port.example.com:5000": {"auth": "dTpwOnE="},
			"https://old.example.com/v1/": {"auth": "dTpw"},
			"https://url.example.com": {"auth": "dTpw"},
			"https://index.docker.io/v1/": {"auth": "aHViOnA="},
			"token.example.com": {"identitytoken": "refresh"},
			"both.example.com": {"auth": "dTpw", "identitytoken": "refresh"},
			"plain.example.com": {"username": "u", "password": "p"},
			"empty.example.com": {},
			"padded.example.com": {"auth": "dTpwAAA="},
			"docker.example.com": {"auth": "dTpw", "email": "a@b"},
			"registry.example.com": {"registrytoken": "as it is"},
			"spaces.example.com": {"auth": "dTpw"},
			"spaces.example.com/team": {"auth": "dGVhbTpw"},
			"spaces.example.com/team/app": {"auth": "YXBwOnA="},
			"spaces.example.com/empty": {},
			"docker.io/team": {"auth": "dGVhbTpw"},
			"only.example.com/team": {"auth": "dGVhbTpw"}
		}
	}`
	up := credential.Credential{Username: "u", Password: "p"}
	for _, tt := range []struct {
		name, host string
		want       credential.Credential
	}{
		{"host", "example.com", up},
		{"host with a port is another", "example.com:5000", credential.Credential{}},
		{"port", "port.example.com:5000", credential.Credential{Username: "u", Password: "p:q"}},
		{"port left out is another", "port.example.com", credential.Credential{}},
		{"below a host is another", "a.example.com", credential.Credential{}},
		{"above a host is another", "com", credential.Credential{}},
		{"old URL", "old.example.com", up},
		{"URL", "url.example.com", up},
		{"docker's", "docker.io", credential.Credential{Username: "hub", Password: "p"}},
		{"docker's by its server", "registry-1.docker.io", credential.Credential{Username: "hub", Password: "p"}},
		{"identity token", "token.example.com", credential.Credential{IdentityToken: "refresh"}},
		{"both", "both.example.com", credential.Credential{Username: "u", Password: "p", IdentityToken: "refresh"}},
		{"not encoded", "plain.example.com", up},
		{"empty", "empty.example.com", credential.Credential{}},
		{"padded with NUL, as docker does", "padded.example.com", up},
		{"more fields", "docker.example.com", up},
		{"registry token", "registry.example.com", credential.Credential{RegistryToken: "as it is"}},
		{"namespace", "spaces.example.com/team/other", credential.Credential{Username: "team", Password: "p"}},
		{"longest namespace", "spaces.example.com/team/app/part", credential.Credential{Username: "app", Password: "p"}},
		{"repository", "spaces.example.com/team/app", credential.Credential{Username: "app", Password: "p"}},
		{"name that begins alike", "spaces.example.com/teams/app", up},
		{"namespace with nothing", "spaces.example.com/empty/app", up},
		{"no namespace of its own", "spaces.example.com/library", up},
		{"host above namespaces", "spaces.example.com", up},
		{"docker's namespace", "docker.io/team/app", credential.Credential{Username: "team", Password: "p"}},
		{"docker's without a namespace", "docker.io/library/alpine", credential.Credential{Username: "hub", Password: "p"}},
		{"namespace, but not its host", "only.example.com", credential.Credential{}},
		{"namespace, but another", "only.example.com/other", credential.Credential{}},
		{"unknown", "other.test", credential.Credential{}},
		{"no host", "", credential.Credential{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := credential.ParseConfig([]byte(config))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.Get(tt.host); err != nil || got != tt.want {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestBadConfigs(t *testing.T) {
	for name, raw := range map[string]string{
		"not JSON": "{", "array": "[]", "text": `"a"`, "auths no object": `{"auths":[]}`, "credsStore no text": `{"credsStore":1}`,
		"credHelpers no object": `{"credHelpers":"x"}`, "two documents": `{}{}`,
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := credential.ParseConfig([]byte(raw)); !errors.Is(err, credential.ErrConfig) || c != nil {
				t.Errorf("got %v, %v", c, err)
			}
		})
	}
	for name, entry := range map[string]string{
		"not base64": `{"auth":"?"}`, "no colon": `{"auth":"dQ=="}`, "no name": `{"auth":"OnA="}`, "no object": `"a"`, "a number": `{"auth":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			c, err := credential.ParseConfig([]byte(`{"auths":{"h":` + entry + `,"other":{"auth":"dTpw"}}}`))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.Get("h"); !errors.Is(err, credential.ErrConfig) || got != (credential.Credential{}) {
				t.Errorf("got %v, %v", got, err)
			}
			if got, err := c.Get("other"); err != nil || got.Username != "u" {
				t.Errorf("the other entry: %v, %v", got, err)
			}
		})
	}
}

// What is not a credential comes back as it was, whatever it is.
func TestEncodeKeepsTheRest(t *testing.T) {
	const config = `{"auths":{"a":{"auth":"dTpw","email":"x"},"b":{"auth":"dTpw","more":[1,1.50,12345678901234567890]}},
		"HttpHeaders":{"X":"y"},"detachKeys":"ctrl-e","plugins":{"p":{"n":1e400}},"credHelpers":{"c":"pass"},"proxies":null}`
	c, err := credential.ParseConfig([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	c.Set("a", credential.Credential{Username: "new", Password: "secret"})
	raw, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"auths":{"a":{"auth":"bmV3OnNlY3JldA=="},"b":{"auth":"dTpw","more":[1,1.50,12345678901234567890]}},
		"HttpHeaders":{"X":"y"},"detachKeys":"ctrl-e","plugins":{"p":{"n":1e400}},"credHelpers":{"c":"pass"},"proxies":null}`
	if got := meaning(t, raw); !reflect.DeepEqual(got, meaning(t, []byte(want))) {
		t.Errorf("got %s", raw)
	}
	c.Remove("a")
	c.Remove("b")
	if raw, err = c.Encode(); err != nil || bytes.Contains(raw, []byte("auths")) {
		t.Errorf("got %s, %v; want no auths", raw, err)
	}
}

// meaning decodes JSON with its numbers as they are written.
func meaning(t *testing.T, raw []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func FuzzParseConfig(f *testing.F) {
	for _, s := range []string{"", "{}", "null", `{"auths":{"h":{"auth":"dTpw"}}}`, `{"auths":null,"credsStore":"x","credHelpers":{"h":"y"}}`,
		`{"auths":{"https://h/v1/":{"identitytoken":"t"}},"a":1e999}`, `{"Auths":{}}`} {
		f.Add(s, "h")
	}
	f.Fuzz(func(t *testing.T, s, host string) {
		c, err := credential.ParseConfig([]byte(s))
		if err != nil || !utf8.ValidString(host) || strings.Contains(host, "/") { // no host is that, and JSON cannot hold the first
			return
		}
		c.Helper(host)
		if cred, err := c.Get(host); err != nil && cred != (credential.Credential{}) {
			t.Fatalf("%v beside %v", cred, err)
		}
		want := credential.Credential{Username: "u", Password: ":p", IdentityToken: "t", RegistryToken: "r"}
		c.Set(host, want)
		raw, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := credential.ParseConfig(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if got, err := again.Get(host); err != nil || got != want {
			t.Fatalf("%s: %v, %v", raw, got, err)
		}
		if !again.Remove(host) {
			t.Fatal("nothing to remove")
		}
		if got, err := again.Get(host); err != nil || got != (credential.Credential{}) {
			t.Fatalf("after Remove: %v, %v", got, err)
		}
	})
}
