package auth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/jwt"
	"shibafu.dev/step7-security/auth/keys"
)

// rules are "NAME REPOSITORY ACTION", any of them "*"; Nobody's name is "-".
type rules []string

func (r rules) Allowed(_ context.Context, id auth.Identity, name ref.Name, action endpoint.Action) bool {
	who := id.Name
	if who == "" {
		who = "-"
	}
	return slices.ContainsFunc(r, func(rule string) bool {
		f := strings.Fields(rule)
		return (f[0] == "*" || f[0] == who) && (f[1] == "*" || f[1] == name.String()) && (f[2] == "*" || f[2] == string(action))
	})
}

func policy() rules {
	return rules{"* public pull", "alice team/a *", "alice team/b pull", "* * ping", "alice * catalog", "robot$ci team/a push", "oidc$x team/a pull"}
}

func (w *world) tokens(a *auth.Accounts) *auth.Tokens {
	w.t.Helper()
	k, err := keys.Open(w.t.TempDir(), keys.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return auth.NewTokens(k, a, policy(), auth.TokenOptions{Issuer: "us", Service: "registry"})
}

func (w *world) login(a *auth.Accounts, user, secret string) auth.Identity {
	w.t.Helper()
	id, err := a.Verify(w.t.Context(), user, secret)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func request(t *testing.T, scopes ...string) auth.Request {
	t.Helper()
	all, err := auth.ParseScopes(scopes)
	if err != nil {
		t.Fatal(err)
	}
	return auth.Request{Scopes: all}
}

func TestIssueGrantsWhatIsAllowed(t *testing.T) {
	w := newWorld(t)
	a := w.open()
	tokens, alice := w.tokens(a), w.login(a, "alice", horse)
	tests := []struct {
		name  string
		id    auth.Identity
		scope string
		want  string
	}{
		{"all of it", alice, "repository:team/a:push,pull", "repository:team/a:pull,push"},
		{"a part", alice, "repository:team/b:pull,push", "repository:team/b:pull"},
		{"nothing", alice, "repository:other:pull", ""},
		{"one of two", alice, "repository:other:pull repository:team/a:delete", "repository:team/a:delete"},
		{"every action", alice, "repository:team/a:*", "repository:team/a:*,delete,pull,push"},
		{"every action there is", alice, "repository:team/b:*", "repository:team/b:pull"},
		{"unknown action", alice, "repository:team/a:pull,fly", "repository:team/a:pull"},
		{"ping is no right to ask for", alice, "repository:team/a:ping", ""},
		{"catalog is none of a repository", alice, "repository:team/a:catalog", ""},
		{"catalog", alice, "registry:catalog:*", "registry:catalog:*"},
		{"pull of the catalog", alice, "registry:catalog:pull", ""},
		{"something else of the registry", alice, "registry:keys:*", ""},
		{"class", alice, "repository(plugin):team/a:pull", "repository(plugin):team/a:pull"},
		{"another type", alice, "artifact:team/a:pull", ""},
		{"no name of a repository", alice, "repository:host:5000/team/a:pull", ""},
		{"public", auth.Nobody(), "repository:public:pull,push", "repository:public:pull"},
		{"not public", auth.Nobody(), "repository:team/a:pull registry:catalog:*", ""},
		{"no scope", alice, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := tokens.Issue(t.Context(), tt.id, request(t, tt.scope))
			if err != nil || r.Scope != tt.want || r.Token != r.AccessToken || r.ExpiresIn != 300 || r.RefreshToken != "" {
				t.Fatalf("Issue = %+v, %v; want %q", r, err, tt.want)
			}
			caller, err := tokens.Verify(r.Token)
			if err != nil || !reflect.DeepEqual(caller.Identity, tt.id) || caller.Grant == nil || caller.Grant.Final {
				t.Errorf("Verify = %+v, %v", caller, err)
			}
		})
	}
}

func TestIssueBoundsTokens(t *testing.T) {
	w := newWorld(t)
	a := w.open()
	tokens := w.tokens(a)
	id := auth.Identity{Name: "oidc$x", Kind: auth.OIDC, Claims: map[string][]string{"long": {strings.Repeat("x", 16<<10)}}}
	if _, err := tokens.Issue(t.Context(), id, auth.Request{}); !errors.Is(err, auth.ErrRequest) {
		t.Errorf("a token that could not be read: %v", err)
	}
}

// Others read the token as one of distribution's.
func TestTokenIsDistributions(t *testing.T) {
	w := newWorld(t)
	a := w.open()
	r, err := w.tokens(a).Issue(t.Context(), w.login(a, "alice", horse), request(t, "repository:team/a:pull"))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(r.Token, ".")
	head, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(head), `"typ":"JWT"`) || !strings.Contains(string(raw), `"access":[{"type":"repository","name":"team/a","actions":["pull"]}]`) {
		t.Errorf("the token says %s %s", head, raw)
	}
	if strings.Contains(string(raw), horseHash) {
		t.Error("the password's hash is in the token")
	}
}

func TestTokensEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		secret := w.addRobot("ci", time.Now().Add(90*time.Second))
		a := w.open()
		tokens := w.tokens(a)
		issue := func(id auth.Identity) auth.Response {
			r, err := tokens.Issue(t.Context(), id, auth.Request{Offline: true})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		alice, robot, nobody := issue(w.login(a, "alice", horse)), issue(w.login(a, "robot$ci", secret)), issue(auth.Nobody())
		if robot.ExpiresIn != 90 || nobody.RefreshToken != "" {
			t.Errorf("robot for %d s, nobody's refresh token is %q", robot.ExpiresIn, nobody.RefreshToken)
		}
		check := func(reason string, r auth.Response, access, refresh error) {
			t.Helper()
			if _, err := tokens.Verify(r.Token); !errors.Is(err, access) {
				t.Errorf("%s: Verify: %v, want %v", reason, err, access)
			}
			if _, err := tokens.Refresh(r.RefreshToken); !errors.Is(err, refresh) {
				t.Errorf("%s: Refresh: %v, want %v", reason, err, refresh)
			}
		}
		check("fresh", alice, nil, nil)
		check("fresh", robot, nil, nil)
		check("nobody", nobody, nil, auth.ErrCredentials)
		time.Sleep(90 * time.Second)
		check("the robot has expired", robot, auth.ErrCredentials, auth.ErrCredentials)
		time.Sleep(auth.DefaultAccess)
		check("later", alice, auth.ErrCredentials, nil)
		if id, err := tokens.Refresh(alice.RefreshToken); err != nil || id.Name != "alice" {
			t.Errorf("Refresh = %+v, %v", id, err)
		}
		if _, err := tokens.Verify(alice.RefreshToken); !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("a refresh token does as an access token: %v", err)
		}
		if _, err := tokens.Refresh(issue(w.login(a, "alice", horse)).Token); !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("an access token does as a refresh token: %v", err)
		}
		time.Sleep(auth.DefaultRefresh)
		check("much later", alice, auth.ErrCredentials, auth.ErrCredentials)
	})
}

// Whatever a token says, its owner is looked at again.
func TestTokensEndWithTheirOwner(t *testing.T) {
	tests := []struct {
		name   string
		change func(w *world)
		want   error
	}{
		{"nothing", func(w *world) {}, nil},
		{"another user", func(w *world) { w.setPassword("bob", "x") }, nil},
		{"new password", func(w *world) { w.setPassword("alice", "battery") }, auth.ErrCredentials},
		{"removed", func(w *world) { w.edit(func(d *auth.Directory) error { return d.RemoveUser("alice") }) }, auth.ErrCredentials},
		{"disabled", func(w *world) {
			w.edit(func(d *auth.Directory) error {
				d.Users["alice"] = auth.UserEntry{Password: horseHash, Disabled: true}
				return nil
			})
		}, auth.ErrCredentials},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			a := w.open()
			tokens := w.tokens(a)
			r, err := tokens.Issue(t.Context(), w.login(a, "alice", horse), auth.Request{Offline: true})
			if err != nil {
				t.Fatal(err)
			}
			tt.change(w)
			if err := a.Poll(); err != nil {
				t.Fatal(err)
			}
			_, access := tokens.Verify(r.Token)
			_, refresh := tokens.Refresh(r.RefreshToken)
			if !errors.Is(access, tt.want) || !errors.Is(refresh, tt.want) {
				t.Errorf("access %v, refresh %v; want %v", access, refresh, tt.want)
			}
		})
	}
}

func TestGroupsAreThoseOfNow(t *testing.T) {
	w := newWorld(t)
	a := w.open()
	tokens := w.tokens(a)
	r, err := tokens.Issue(t.Context(), w.login(a, "alice", horse), auth.Request{})
	if err != nil {
		t.Fatal(err)
	}
	w.edit(func(d *auth.Directory) error { return d.Leave("team", "alice") })
	if err := a.Poll(); err != nil {
		t.Fatal(err)
	}
	if c, err := tokens.Verify(r.Token); err != nil || !slices.Equal(c.Identity.Groups, []string{"all"}) {
		t.Errorf("Verify = %+v, %v", c, err)
	}
}

func TestTokenForAnotherService(t *testing.T) {
	w := newWorld(t)
	a := w.open()
	k, err := keys.Open(t.TempDir(), keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	one := auth.NewTokens(k, a, policy(), auth.TokenOptions{Issuer: "us", Service: "registry"})
	other := auth.NewTokens(k, a, policy(), auth.TokenOptions{Issuer: "us", Service: "admin"})
	if _, err := one.Issue(t.Context(), auth.Nobody(), auth.Request{Service: "admin"}); !errors.Is(err, auth.ErrRequest) {
		t.Errorf("asked for it: %v", err)
	}
	r, err := one.Issue(t.Context(), auth.Nobody(), auth.Request{Service: "registry"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Verify(r.Token); !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("used it there: %v", err)
	}
}

func TestMay(t *testing.T) {
	a, b := ref.MustName("team/a"), ref.MustName("team/b")
	alice := auth.Identity{Name: "alice", Kind: auth.User}
	pullA := &auth.Grant{Access: auth.Access{{Type: "repository", Name: "team/a", Actions: []string{"pull", "push"}}}}
	finalB := &auth.Grant{Access: auth.Access{{Type: "repository", Name: "team/b", Actions: []string{"push"}}}, Final: true}
	tests := []struct {
		name       string
		caller     auth.Caller
		repository ref.Name
		action     endpoint.Action
		may, could bool
	}{
		{"without a token", auth.Caller{Identity: alice}, a, endpoint.Delete, true, true},
		{"with a token for it", auth.Caller{Identity: alice, Grant: pullA}, a, endpoint.Push, true, true},
		{"with a token for less", auth.Caller{Identity: alice, Grant: pullA}, a, endpoint.Delete, false, true},
		{"with a token for something else", auth.Caller{Identity: alice, Grant: pullA}, b, endpoint.Pull, false, true},
		{"token says more than the rules", auth.Caller{Identity: auth.Nobody(), Grant: pullA}, a, endpoint.Pull, false, false},
		{"issuer decides", auth.Caller{Identity: alice, Grant: finalB}, b, endpoint.Push, true, true},
		{"issuer decides against it", auth.Caller{Identity: alice, Grant: finalB}, a, endpoint.Pull, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			may := tt.caller.May(t.Context(), policy(), tt.repository, tt.action)
			could := tt.caller.Could(t.Context(), policy(), tt.repository, tt.action)
			if may != tt.may || could != tt.could {
				t.Errorf("may %v, could %v", may, could)
			}
		})
	}
}

// A token that our key signed with claims that are not ours is none.
func TestStrangeClaims(t *testing.T) {
	w := newWorld(t)
	a := w.open()
	k, err := keys.Open(t.TempDir(), keys.Options{Algorithm: jwt.ES256})
	if err != nil {
		t.Fatal(err)
	}
	tokens := auth.NewTokens(k, a, policy(), auth.TokenOptions{Issuer: "us", Service: "registry"})
	tests := []struct{ name, claims string }{
		{"no member of ours", `"sub":"alice"`},
		{"user without a version", `"sub":"alice","shibafu":{"kind":"user"}`},
		{"unknown kind", `"sub":"alice","shibafu":{"kind":"root"}`},
		{"nobody with a name", `"sub":"alice","shibafu":{"kind":"anonymous"}`},
		{"access is a text", `"sub":"","access":"all","shibafu":{"kind":"anonymous"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			exp, err := json.Marshal(time.Now().Add(time.Minute).Unix())
			if err != nil {
				t.Fatal(err)
			}
			token, err := k.Signer().Sign("JWT", json.RawMessage(`{"iss":"us","aud":"registry","exp":`+string(exp)+`,`+tt.claims+`}`))
			if err != nil {
				t.Fatal(err)
			}
			if c, err := tokens.Verify(token); !errors.Is(err, auth.ErrCredentials) {
				t.Errorf("Verify = %+v, %v", c, err)
			}
		})
	}
}
