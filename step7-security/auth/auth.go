// Package auth knows who somebody is. Users, robots and groups stand in a file
// (directory.go, members.go) that is read again when it changes (accounts.go, source.go); verify.go
// tries secrets, in turn (slots.go), and costs somebody who guesses as much as somebody who
// knows. tokens.go gives out tokens and reads them, for scopes (scope.go, request.go);
// login.go puts these and the tokens of others together. What somebody may do is decided
// elsewhere, behind a Decider.
package auth

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
)

// What the errors of this package are. None holds a secret, or says whether it was the
// name or the secret that was wrong.
var (
	// ErrCredentials is a name and a secret that do not belong together, or a token that
	// is not valid.
	ErrCredentials = errors.New("wrong credentials")
	// ErrBusy is an attempt that had to wait too long behind others.
	ErrBusy = errors.New("too many passwords are being verified")
	// ErrUnavailable is a token of an issuer whose keys cannot be had now.
	ErrUnavailable = errors.New("the issuer's keys cannot be had")
	// ErrDirectory is a file of users that cannot be used.
	ErrDirectory = errors.New("bad file of users")
	// ErrName is a name that cannot be one.
	ErrName = errors.New("not a possible name")
	// ErrExists and ErrUnknown are about names in the file of users.
	ErrExists  = errors.New("there is one of this name")
	ErrUnknown = errors.New("there is none of this name")
	// ErrScope is a scope that is not of the grammar, ErrRequest another fault in a
	// request for a token.
	ErrScope   = errors.New("bad scope")
	ErrRequest = errors.New("bad request for a token")
)

// Kind is what vouches for an identity.
type Kind string

const (
	Anonymous   Kind = "anonymous"
	User        Kind = "user"
	Robot       Kind = "robot"
	OIDC        Kind = "oidc"
	Certificate Kind = "certificate"
)

// What the names of those who are not users begin with, as no user's name holds a "$":
// so a name says who it is without its kind. Robots are called as Harbor calls them.
const (
	RobotPrefix       = "robot$"
	OIDCPrefix        = "oidc$"
	CertificatePrefix = "cert$"
)

// Identity is who somebody is.
type Identity struct {
	// Name is "alice", "robot$ci", "oidc$…" or "cert$…", and "" for Anonymous.
	Name string
	Kind Kind
	// Groups are sorted.
	Groups []string
	// Claims are what another issuer's token said, as texts, by paths with dots.
	Claims map[string][]string
	// Expires is when the proof ends that this rests on; zero if it does not.
	Expires time.Time

	version string   // of the secret, or the issuer; what was given out for another is void
	vouched []string // of Groups, those that an issuer's token named
}

// Nobody is the identity of who has shown no credentials.
func Nobody() Identity { return Identity{Kind: Anonymous} }

// A Decider says who may do what. Allowed is asked on the name alone, whether or not
// there is such a repository; the name is zero for endpoint.Catalog.
type Decider interface {
	Allowed(ctx context.Context, id Identity, name ref.Name, action endpoint.Action) bool
}

// Grant is what a token is good for.
type Grant struct {
	Access Access
	// Final is set where the token's issuer has decided, and no Decider is asked.
	Final bool
}

// Caller is who makes a request.
type Caller struct {
	Identity Identity
	// Grant is nil where no token limits what the identity may do.
	Grant *Grant
}

// May tells whether the caller may do something: both the token and the rules must
// allow it.
func (c Caller) May(ctx context.Context, d Decider, name ref.Name, action endpoint.Action) bool {
	if c.Grant != nil && !c.Grant.Access.Has(name, action) {
		return false
	}
	return c.Could(ctx, d, name, action)
}

// Could tells whether the caller might do something with another token. Lists of
// repositories are filtered by it, as no token names what it does not know.
func (c Caller) Could(ctx context.Context, d Decider, name ref.Name, action endpoint.Action) bool {
	if c.Grant != nil && c.Grant.Final {
		return c.Grant.Access.Has(name, action)
	}
	return d.Allowed(ctx, c.Identity, name, action)
}

type callerKey struct{}

// WithCaller is a context whose caller is c.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf is a context's caller: Nobody if none was set.
func CallerOf(ctx context.Context) Caller {
	if c, ok := ctx.Value(callerKey{}).(Caller); ok {
		return c
	}
	return Caller{Identity: Nobody()}
}

// CertificateName is what a verified certificate calls its owner: the common name, else
// the one DNS name or URI that it has; "" if it names nobody, or more than one, or in
// letters that cannot be a name.
func CertificateName(c *x509.Certificate) string {
	names := []string{c.Subject.CommonName}
	if names[0] == "" {
		names = slices.Clone(c.DNSNames)
		for _, u := range c.URIs {
			names = append(names, u.String())
		}
	}
	if len(names) != 1 || names[0] == "" || !isMember(CertificatePrefix+names[0]) {
		return ""
	}
	return CertificatePrefix + names[0]
}

// maxName is the longest name of a user, a robot or a group, in bytes; that of a member
// of a group may be longer, as others choose it.
const maxName, maxMember = 128, 512

// CheckName says whether a user, a robot or a group can have this name: letters, digits
// and . _ @ + -, a letter or digit first. Its errors are ErrName.
func CheckName(name string) error {
	if name == "" || len(name) > maxName || strings.IndexByte("._@+-", name[0]) >= 0 {
		return ErrName
	}
	for i := range len(name) {
		if c := name[i]; !isAlnum(c) && strings.IndexByte("._@+-", c) < 0 {
			return ErrName
		}
	}
	if name == OIDCUser {
		return ErrName
	}
	return nil
}

// isMember tells whether a name can stand in a group.
func isMember(name string) bool {
	return name != "" && len(name) <= maxMember &&
		!strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\ufffd' })
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
