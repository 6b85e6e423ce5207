// Package issuer knows the tokens of others: of CI systems, of Kubernetes, of token
// servers that decide themselves who may do what. issuer.go tells who has a token,
// config.go reads who is believed, file.go follows the file of that, rules.go makes names and groups of claims, keys.go
// keeps the issuers' keys.
package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/jwt"
)

// leeway is how far another's clock may be off.
const leeway = time.Minute

// Set are the issuers that are believed. It is an auth.Issuers.
type Set struct {
	all      map[string]*known // by what their tokens call them
	versions map[string]string // by ID
}

type known struct {
	config Issuer
	keys   *keyring
}

// New believes the tokens of issuers, whose keys fetcher gets.
func New(issuers []Issuer, fetcher Fetcher) *Set { return renew(issuers, fetcher, &Set{}) }

// renew is New with the keys that another set has already.
func renew(issuers []Issuer, fetcher Fetcher, before *Set) *Set {
	s := &Set{map[string]*known{}, map[string]string{}}
	for _, c := range issuers {
		keys := newKeyring(c, fetcher)
		if k := before.all[c.Issuer]; k != nil && k.config.KeysURL == c.KeysURL && k.config.KeysFile == c.KeysFile && slices.Equal(k.config.KeysAllow, c.KeysAllow) {
			keys = k.keys
		}
		s.all[c.Issuer] = &known{c, keys}
		s.versions[c.ID] = c.version()
	}
	return s
}

// Version is that of the issuer's entry in the file: another one if anything of it is
// another.
func (s *Set) Version(name string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(name, auth.OIDCPrefix), ":")
	return s.versions[id]
}

// Identify tells who has a token. Its errors are auth.ErrCredentials,
// auth.ErrUnavailable where the keys to tell cannot be had, and that of ctx.
func (s *Set) Identify(ctx context.Context, token string) (auth.Caller, error) {
	name, err := jwt.Issuer(token)
	if err != nil {
		return auth.Caller{}, fmt.Errorf("%w: %w", auth.ErrCredentials, err)
	}
	k, ok := s.all[name]
	if !ok {
		return auth.Caller{}, fmt.Errorf("%w: of an issuer that is not known", auth.ErrCredentials)
	}
	claims, err := k.keys.verify(ctx, token, jwt.Want{
		Type: "JWT", Issuer: k.config.Issuer, Audience: k.config.Audience, Now: time.Now(), Leeway: leeway,
	})
	if errors.Is(err, auth.ErrUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return auth.Caller{}, err // not the token's fault
	}
	if err != nil {
		return auth.Caller{}, fmt.Errorf("%w: %w", auth.ErrCredentials, err)
	}
	return k.config.caller(claims)
}

// maxKept is how long a claim may be that is kept, in bytes: it goes into tokens.
const maxKept = 512

func size(texts []string) (n int) {
	for _, t := range texts {
		n += len(t)
	}
	return n
}

func (c Issuer) caller(claims jwt.Claims) (auth.Caller, error) {
	texts := flatten(claims.All)
	name, groups, ok := c.match(texts)
	if !ok {
		return auth.Caller{}, fmt.Errorf("%w: no rule of %s fits", auth.ErrCredentials, c.ID)
	}
	id := auth.Identity{Name: auth.OIDCPrefix + c.ID + ":" + name, Kind: auth.OIDC, Groups: groups, Expires: claims.Expires}
	slices.Sort(id.Groups)
	id.Groups = slices.Compact(id.Groups)
	for _, path := range c.Keep {
		if values, there := texts[path]; there {
			if size(values) > maxKept { // left out, a rule against it would not see it
				return auth.Caller{}, fmt.Errorf("%w: the claim %s is too long to keep", auth.ErrCredentials, path)
			}
			if id.Claims == nil {
				id.Claims = map[string][]string{}
			}
			id.Claims[path] = values
		}
	}
	if !c.Grants {
		return auth.Caller{Identity: id}, nil
	}
	var access auth.Access
	if raw, there := claims.All["access"]; there && json.Unmarshal(raw, &access) != nil {
		return auth.Caller{}, fmt.Errorf("%w: strange access", auth.ErrCredentials)
	}
	return auth.Caller{Identity: id, Grant: &auth.Grant{Access: access, Final: true}}, nil
}
