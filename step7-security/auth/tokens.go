package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step7-security/auth/jwt"
)

// How long tokens live where nobody said. A client keeps an access token for at least a
// minute, whatever it says, so shorter ones are not made.
const (
	DefaultAccess  = 5 * time.Minute
	DefaultRefresh = 90 * 24 * time.Hour
	shortestAccess = time.Minute
	leeway         = 30 * time.Second
)

// The types of tokens, so that none is taken for another.
const (
	accessType  = "JWT" // as distribution names it
	refreshType = "refresh+jwt"
)

// Keys sign and verify; keys.Store does.
type Keys interface {
	Signer() jwt.Signer
	Verify(token string, want jwt.Want) (jwt.Claims, error)
}

// TokenOptions say what tokens say.
type TokenOptions struct {
	// Issuer and Service are the iss and the aud of tokens; both are required.
	Issuer, Service string
	// Access and Refresh are how long tokens live; 0 stands for the default.
	Access, Refresh time.Duration
}

// Tokens gives out tokens and reads them.
type Tokens struct {
	keys     Keys
	accounts *Accounts
	decider  Decider
	opts     TokenOptions
	seen     memory[verified] // access tokens, by their hash
}

// verified is what a token of ours says.
type verified struct {
	subject string
	own     own
	access  Access
	expires time.Time
}

// remember is how long a token is believed without verifying it again: a client uses one
// for many requests, and a signature takes longer than many of them.
const remember = time.Minute

// NewTokens gives out tokens for what the decider allows. Accounts say whether somebody
// is still who the token says.
func NewTokens(keys Keys, accounts *Accounts, decider Decider, opts TokenOptions) *Tokens {
	opts.Access = max(shortestAccess, cmp.Or(opts.Access, DefaultAccess))
	opts.Refresh = cmp.Or(opts.Refresh, DefaultRefresh)
	return &Tokens{keys: keys, accounts: accounts, decider: decider, opts: opts}
}

// Service is what tokens are for.
func (t *Tokens) Service() string { return t.opts.Service }

// Response is the answer to a request for a token. Token and AccessToken are the same:
// some clients look for the one, some for the other.
type Response struct {
	Token        string    `json:"token"`
	AccessToken  string    `json:"access_token"`
	TokenType    string    `json:"token_type"`
	ExpiresIn    int       `json:"expires_in"` // seconds
	IssuedAt     time.Time `json:"issued_at"`
	Scope        string    `json:"scope,omitempty"`
	RefreshToken string    `json:"refresh_token,omitempty"`
}

// body is a token's claims: distribution's, and one member of our own.
type body struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	Expires   int64  `json:"exp"`
	NotBefore int64  `json:"nbf"`
	IssuedAt  int64  `json:"iat"`
	ID        string `json:"jti"`
	Access    Access `json:"access,omitzero"`
	Own       own    `json:"shibafu"`
}

// own is what a token says of an identity that the accounts do not know.
type own struct {
	Kind    Kind                `json:"kind"`
	Version string              `json:"version,omitempty"`
	Groups  []string            `json:"groups,omitempty"`
	Claims  map[string][]string `json:"claims,omitempty"`
}

// Issue makes a token for what id asked for and may have. What it may not have is left
// out without a word, as clients expect. A refresh token is made for users and robots, if
// asked for; who has shown one gets it back. Its errors are ErrRequest and those of the
// keys.
func (t *Tokens) Issue(ctx context.Context, id Identity, r Request) (Response, error) {
	if r.Service != "" && r.Service != t.opts.Service {
		return Response{}, fmt.Errorf("%w: it is for another service", ErrRequest)
	}
	now := time.Now().UTC().Truncate(time.Second)
	life := t.opts.Access
	if !id.Expires.IsZero() {
		life = max(shortestAccess, min(life, id.Expires.Sub(now).Truncate(time.Second)))
	}
	access := t.granted(ctx, id, r.Scopes)
	token, err := t.sign(accessType, id, access, now, life)
	if err != nil {
		return Response{}, err
	}
	answer := Response{Token: token, AccessToken: token, TokenType: "Bearer", ExpiresIn: int(life.Seconds()), IssuedAt: now, Scope: access.text()}
	switch {
	case len(token) > jwt.MaxLen:
		return Response{}, fmt.Errorf("%w: for more than a token holds", ErrRequest)
	case r.GrantType == grantRefresh:
		answer.RefreshToken = r.RefreshToken
	case r.Offline && id.refreshes():
		answer.RefreshToken, err = t.sign(refreshType, id, nil, now, t.opts.Refresh)
	}
	return answer, err
}

func (t *Tokens) sign(kind string, id Identity, access Access, now time.Time, life time.Duration) (string, error) {
	b := body{
		Issuer: t.opts.Issuer, Subject: id.Name, Audience: t.opts.Service, ID: rand.Text(),
		IssuedAt: now.Unix(), NotBefore: now.Unix(), Expires: now.Add(life).Unix(),
		Access: access, Own: own{Kind: id.Kind, Version: id.version},
	}
	if id.Kind == OIDC {
		b.Own.Groups, b.Own.Claims = id.vouched, id.Claims
	}
	return t.keys.Signer().Sign(kind, b)
}

// refreshes tells whether an identity can go on without its secret.
func (id Identity) refreshes() bool { return id.Kind == User || id.Kind == Robot }

// granted is what of the scopes id may have; it is never nil, as others want a list.
func (t *Tokens) granted(ctx context.Context, id Identity, scopes []Scope) Access {
	access := Access{}
	for _, s := range scopes {
		allowed := func(action string) bool {
			name, right, ok := rightOf(s, action)
			return ok && t.decider.Allowed(ctx, id, name, right)
		}
		asked := s.Actions
		if s.Type == repository && slices.Contains(asked, allActions) {
			asked = []string{"delete", "pull", "push"}
		}
		var has []string
		for _, action := range asked {
			if allowed(action) {
				has = append(has, action)
			}
		}
		if slices.Contains(s.Actions, allActions) && s.Type == repository && len(has) == len(asked) {
			has = append([]string{allActions}, has...)
		}
		if len(has) > 0 {
			access = append(access, Scope{s.Type, s.Class, s.Name, has})
		}
	}
	return access
}

// rightOf is the right that an action of a scope stands for; ok is false if there is none.
func rightOf(s Scope, action string) (name ref.Name, right endpoint.Action, ok bool) {
	if s.Type == registry {
		return ref.Name{}, endpoint.Catalog, s.Name == catalogName && action == allActions
	}
	name, err := ref.ParseName(s.Name)
	if s.Type != repository || err != nil {
		return ref.Name{}, "", false
	}
	switch right = endpoint.Action(action); right {
	case endpoint.Pull, endpoint.Push, endpoint.Delete:
		return name, right, true
	}
	return ref.Name{}, "", false
}

// text is what was granted as OAuth says it.
func (a Access) text() string {
	text := ""
	for i, s := range a {
		if i > 0 {
			text += " "
		}
		text += s.String()
	}
	return text
}

// Verify tells who has an access token that was made here, and what it is good for. A
// user or a robot that was removed or disabled, or has another secret by now, has none any
// more. Its errors are ErrCredentials.
func (t *Tokens) Verify(token string) (Caller, error) {
	key := sha256.Sum256([]byte(token))
	v, known := t.seen.get(key)
	if !known {
		var err error
		if v, err = t.read(accessType, token); err != nil {
			return Caller{}, err
		}
		t.seen.put(key, v, min(remember, time.Until(v.expires)))
	}
	id, err := t.owner(v)
	if err != nil {
		return Caller{}, err
	}
	return Caller{Identity: id, Grant: &Grant{Access: v.access}}, nil
}

// knows tells whether a token was verified a short time ago.
func (t *Tokens) knows(token string) bool {
	_, known := t.seen.get(sha256.Sum256([]byte(token)))
	return known
}

// Refresh tells who has a refresh token. Its errors are ErrCredentials.
func (t *Tokens) Refresh(token string) (Identity, error) {
	v, err := t.read(refreshType, token)
	if err != nil {
		return Identity{}, err
	}
	id, err := t.owner(v)
	if err == nil && !id.refreshes() {
		return Identity{}, ErrCredentials
	}
	return id, err
}

// read verifies a token. Its errors are ErrCredentials.
func (t *Tokens) read(kind, token string) (verified, error) {
	want := jwt.Want{Type: kind, Issuer: t.opts.Issuer, Audience: t.opts.Service, Now: time.Now(), Leeway: leeway}
	claims, err := t.keys.Verify(token, want)
	if err != nil {
		return verified{}, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	v := verified{subject: claims.Subject, expires: claims.Expires}
	if raw, there := claims.All["access"]; there {
		err = json.Unmarshal(raw, &v.access)
	}
	if err = errors.Join(err, json.Unmarshal(claims.All["shibafu"], &v.own)); err != nil {
		return verified{}, fmt.Errorf("%w: strange claims", ErrCredentials)
	}
	return v, nil
}

// owner is who a token is of, as they are now. Its errors are ErrCredentials.
func (t *Tokens) owner(v verified) (Identity, error) {
	id, ok := t.accounts.still(v.subject, v.own)
	if !ok {
		return Identity{}, fmt.Errorf("%w: the account has changed", ErrCredentials)
	}
	if id.Kind == OIDC {
		id.Expires = v.expires
	}
	return id, nil
}

// still is the identity that a token names, as it is now.
func (a *Accounts) still(name string, o own) (Identity, bool) {
	switch o.Kind {
	case User, Robot:
		id, ok := a.current(name)
		return id, ok && id.Kind == o.Kind && id.version == o.Version
	case Certificate:
		return a.Certificate(name), true
	case OIDC:
		return Identity{Name: name, Kind: OIDC, Groups: a.groupsWith(name, o.Groups), Claims: o.Claims, version: o.Version}, true
	case Anonymous:
		return Nobody(), name == ""
	}
	return Identity{}, false
}
