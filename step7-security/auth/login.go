package auth

import (
	"context"
	"fmt"

	"shibafu.dev/step7-security/auth/jwt"
)

// OIDCUser is the user whose password is the token of another issuer:
// "docker login -u oidc -p $JWT". No user can have this name.
const OIDCUser = "oidc"

// Issuers know the tokens of others.
type Issuers interface {
	// Identify tells who has a token, and what it is good for where its issuer decides
	// that. Groups of the file of users are not its business. What is not valid is
	// ErrCredentials.
	Identify(ctx context.Context, token string) (Caller, error)
	// Version is another one whenever what makes an identity of this name is changed, and
	// "" if nothing makes one any more: tokens given out before are void.
	Version(name string) string
}

// Gate tells who shows credentials, of whatever kind.
type Gate struct {
	Accounts *Accounts
	Tokens   *Tokens
	Issuers  Issuers // nil if nobody else's tokens count
}

// Basic tells who a name and a password are. Its errors are those of Accounts.Verify.
func (g *Gate) Basic(ctx context.Context, name, secret string) (Caller, error) {
	if name != OIDCUser {
		id, err := g.Accounts.Verify(ctx, name, secret)
		return Caller{Identity: id}, err
	}
	caller, err := g.foreign(ctx, secret)
	if err == nil && caller.Grant != nil { // to be used as it is, not for another token
		return Caller{}, ErrCredentials
	}
	return caller, err
}

// Bearer tells who has a token. Its errors are ErrCredentials, and those of Issuers.
func (g *Gate) Bearer(ctx context.Context, token string) (Caller, error) {
	if g.Tokens.knows(token) {
		return g.own(token)
	}
	issuer, err := jwt.Issuer(token)
	if err != nil {
		return Caller{}, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	if issuer == g.Tokens.opts.Issuer {
		return g.own(token)
	}
	return g.foreign(ctx, token)
}

// own tells who has one of our tokens. One that was given out for another's is good as
// long as that issuer is believed in the same things.
func (g *Gate) own(token string) (Caller, error) {
	caller, err := g.Tokens.Verify(token)
	if err != nil || caller.Identity.Kind != OIDC {
		return caller, err
	}
	if v := g.version(caller.Identity.Name); v == "" || v != caller.Identity.version {
		return Caller{}, fmt.Errorf("%w: what is believed of the issuer has changed", ErrCredentials)
	}
	return caller, nil
}

func (g *Gate) version(name string) string {
	if g.Issuers == nil {
		return ""
	}
	return g.Issuers.Version(name)
}

func (g *Gate) foreign(ctx context.Context, token string) (Caller, error) {
	if g.Issuers == nil {
		return Caller{}, ErrCredentials
	}
	var caller Caller
	err := g.Accounts.attempt(ctx, func() (err error) {
		caller, err = g.Issuers.Identify(ctx, token)
		return err
	})
	if err != nil {
		return Caller{}, err
	}
	id := &caller.Identity
	id.version, id.vouched = g.version(id.Name), id.Groups
	id.Groups = g.Accounts.groupsWith(id.Name, id.vouched)
	return caller, nil
}

// Form tells who asks for a token by a form. Its errors are those of Basic.
func (g *Gate) Form(ctx context.Context, r Request) (Identity, error) {
	if r.GrantType == grantRefresh {
		return g.Tokens.Refresh(r.RefreshToken)
	}
	caller, err := g.Basic(ctx, r.Username, r.Password)
	return caller.Identity, err
}
