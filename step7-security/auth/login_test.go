package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/keys"
)

// foreign lets one token in.
type foreign struct {
	final   bool
	version string
}

func (f foreign) Version(string) string { return f.version }

func (f foreign) Identify(_ context.Context, token string) (auth.Caller, error) {
	if !strings.HasSuffix(token, ".good") {
		return auth.Caller{}, auth.ErrCredentials
	}
	c := auth.Caller{Identity: auth.Identity{Name: "oidc$x", Kind: auth.OIDC, Groups: []string{"g"}, Claims: map[string][]string{"ref": {"main"}}}}
	if f.final {
		c.Grant = &auth.Grant{Final: true}
	}
	return c, nil
}

func TestGate(t *testing.T) {
	w := newWorld(t)
	limit := &attempts{failed: -100}
	w.opts.Attempts = limit
	a := w.open()
	tokens := w.tokens(a)
	gate := &auth.Gate{Accounts: a, Tokens: tokens, Issuers: foreign{version: "1"}}
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	theirs := encode(`{}`) + "." + encode(`{"iss":"them"}`)

	form := auth.Request{GrantType: "password", Username: "oidc", Password: "x.good", Scopes: request(t, "repository:team/a:pull").Scopes, Offline: true, RefreshToken: "x"}
	answer := func(r auth.Request) (auth.Response, error) {
		id, err := gate.Form(t.Context(), r)
		if err != nil {
			return auth.Response{}, err
		}
		return tokens.Issue(t.Context(), id, r)
	}
	r, err := answer(form)
	if err != nil || r.Scope != "repository:team/a:pull" || r.RefreshToken != "" {
		t.Fatalf("a token for another's: %+v, %v", r, err)
	}
	c, err := gate.Bearer(t.Context(), r.Token)
	if err != nil || c.Identity.Name != "oidc$x" || !slices.Equal(c.Identity.Groups, []string{"g"}) || c.Identity.Claims["ref"][0] != "main" {
		t.Errorf("Bearer = %+v, %v", c, err)
	}
	w.edit(func(d *auth.Directory) error { return d.Join("builders", "oidc$x") })
	if err := a.Poll(); err != nil {
		t.Fatal(err)
	}
	if c, err = gate.Bearer(t.Context(), r.Token); err != nil || !slices.Equal(c.Identity.Groups, []string{"builders", "g"}) {
		t.Errorf("in a group of ours: %+v, %v", c, err)
	}
	again, err := answer(form)
	w.edit(func(d *auth.Directory) error { return d.Leave("builders", "oidc$x") })
	if err := errors.Join(err, a.Poll()); err != nil {
		t.Fatal(err)
	}
	if c, err = gate.Bearer(t.Context(), again.Token); err != nil || !slices.Equal(c.Identity.Groups, []string{"g"}) {
		t.Errorf("no longer in a group of ours: %+v, %v", c, err)
	}
	for what, issuers := range map[string]auth.Issuers{"another version": foreign{version: "2"}, "no such issuer": foreign{}, "no issuers": nil} {
		changed := &auth.Gate{Accounts: a, Tokens: tokens, Issuers: issuers}
		if c, err := changed.Bearer(t.Context(), r.Token); !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("%s: %+v, %v", what, c, err)
		}
	}
	r, err = answer(auth.Request{GrantType: "password", Username: "alice", Password: horse, Offline: true})
	if err != nil || r.RefreshToken == "" {
		t.Fatalf("a token for a password: %+v, %v", r, err)
	}
	again, err = answer(auth.Request{GrantType: "refresh_token", RefreshToken: r.RefreshToken})
	if err != nil || again.RefreshToken != r.RefreshToken {
		t.Errorf("a token for a refresh token: %+v, %v", again, err)
	}
	refused := map[string]func() error{
		"wrong password":                    func() error { _, err := gate.Basic(t.Context(), "alice", "x"); return err },
		"another's bad token as a password": func() error { _, err := gate.Basic(t.Context(), "oidc", "x"); return err },
		"another's bad token":               func() error { _, err := gate.Bearer(t.Context(), theirs+".bad"); return err },
		"no token":                          func() error { _, err := gate.Bearer(t.Context(), "x"); return err },
		"refresh by a password": func() error {
			_, err := answer(auth.Request{GrantType: "refresh_token", RefreshToken: horse})
			return err
		},
		"a token that decides, for another": func() error {
			_, err := (&auth.Gate{Accounts: a, Tokens: tokens, Issuers: foreign{final: true}}).Basic(t.Context(), "oidc", "x.good")
			return err
		},
		"others where none count": func() error {
			_, err := (&auth.Gate{Accounts: a, Tokens: tokens}).Bearer(t.Context(), theirs+".good")
			return err
		},
	}
	for name, try := range refused {
		if err := try(); !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkBearer(b *testing.B) {
	file := filepath.Join(b.TempDir(), "users.json")
	a, err := auth.Open(auth.Options{File: file})
	if err != nil {
		b.Fatal(err)
	}
	k, err := keys.Open(b.TempDir(), keys.Options{})
	if err != nil {
		b.Fatal(err)
	}
	tokens := auth.NewTokens(k, a, policy(), auth.TokenOptions{Issuer: "us", Service: "registry"})
	gate := &auth.Gate{Accounts: a, Tokens: tokens}
	scopes, err := auth.ParseScopes([]string{"repository:public:pull"})
	if err != nil {
		b.Fatal(err)
	}
	r, err := tokens.Issue(b.Context(), auth.Nobody(), auth.Request{Scopes: scopes})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := gate.Bearer(b.Context(), r.Token); err != nil {
			b.Fatal(err)
		}
	}
}
