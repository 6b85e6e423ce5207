// Package authhttp asks who makes a request and whether they may, before its handler sees
// it, and serves tokens. guard.go is the middleware, credentials.go reads what a request
// shows, challenge.go says how to get in, token.go gives out tokens, seen.go has words
// for what came of it.
package authhttp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step7-security/auth"
)

// What the errors of this package are.
var (
	// ErrOptions are options that cannot be.
	ErrOptions = errors.New("bad options of authentication")
	// ErrNone is a request without credentials where some are needed: how most clients
	// begin.
	ErrNone = errors.New("no credentials")
	// ErrGrant is a token that is not good for what its owner may do.
	ErrGrant = errors.New("the token is not good for this")
)

// TokenPath is where tokens are to be had, below the public URL.
const TokenPath = "/token"

// Options say how the registry is reached.
type Options struct {
	// PublicURL is where clients find the registry, "https://host[/prefix]". If it is "",
	// they are sent to the host that they asked.
	PublicURL string
	// Origin is the scheme and the host that a client asked, for registries behind a
	// proxy; nil stands for the connection's and the Host header's.
	Origin func(r *http.Request) (scheme, host string)
	// Seen is told who made a request, and why it was not let in: err is nil, ErrNone,
	// ErrGrant, ocierr.Denied, or an error of auth.Gate. May be nil.
	Seen func(r *http.Request, caller auth.Caller, err error)
	// Issued is told of each token that was given out, to whom and for what. May be nil.
	Issued func(r *http.Request, id auth.Identity, asked auth.Request)
	// Log is told why a token could not be made, if that was not the client's fault.
	Log *slog.Logger
}

// Guard lets requests in, or does not.
type Guard struct {
	gate    *auth.Gate
	decider auth.Decider
	opts    Options
}

// New makes a guard. Its errors are ErrOptions.
func New(gate *auth.Gate, decider auth.Decider, opts Options) (*Guard, error) {
	if opts.PublicURL != "" {
		u, err := url.Parse(opts.PublicURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || !validHost(u.Host) || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(opts.PublicURL, `"\`) {
			return nil, fmt.Errorf("%w: the public URL must be http(s)://host[/prefix]", ErrOptions)
		}
		opts.PublicURL = strings.TrimSuffix(opts.PublicURL, "/")
	}
	if service := gate.Tokens.Service(); service == "" || strings.ContainsFunc(service, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' }) {
		return nil, fmt.Errorf("%w: the service must be a word", ErrOptions)
	}
	if opts.Seen == nil {
		opts.Seen = func(*http.Request, auth.Caller, error) {}
	}
	if opts.Issued == nil {
		opts.Issued = func(*http.Request, auth.Identity, auth.Request) {}
	}
	if opts.Origin == nil {
		opts.Origin = origin
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Guard{gate, decider, opts}, nil
}

// origin is the scheme and the host of a connection that no proxy has passed on.
func origin(r *http.Request) (scheme, host string) {
	if r.TLS != nil {
		return "https", r.Host
	}
	return "http", r.Host
}

// Middleware lets those in who may do what the endpoint does. It asks about names alone,
// before anything is looked for: what is there and what is not are refused alike. The
// caller is in the context of what it lets in.
//
// Who shows no credentials, or wrong ones, is answered 401 with how to get a token; who
// has a token that is good for less than they are, 401 with what to ask for; who may not,
// 403.
func (g *Guard) Middleware(e *endpoint.Endpoint, next api.Handler) api.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		name := api.PathOf(r).Name
		caller, err := g.Caller(r)
		if err == nil {
			err = g.check(r.Context(), caller, name, e.Action)
		}
		g.opts.Seen(r, caller, err)
		if err != nil {
			return g.refuse(w, r, needs(r, e, name), err)
		}
		return next(w, r.WithContext(auth.WithCaller(r.Context(), caller)))
	}
}

// check says whether a caller may do something. Its errors are ErrNone, ErrGrant and
// ocierr.Denied.
func (g *Guard) check(ctx context.Context, c auth.Caller, name ref.Name, action endpoint.Action) error {
	anonymous := c.Identity.Kind == auth.Anonymous
	switch {
	case action == endpoint.Ping && (!anonymous || c.Grant != nil):
		return nil // whoever has been asked who they are, and has said so
	case action == endpoint.Ping:
		return ErrNone
	case c.May(ctx, g.decider, name, action):
		return nil
	case c.Grant != nil && c.Could(ctx, g.decider, name, action):
		return ErrGrant
	case anonymous && c.Grant != nil:
		return ErrGrant
	case anonymous:
		return ErrNone
	}
	return ocierr.Denied
}

// refuse turns a reason into an answer.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, needs []auth.Scope, reason error) error {
	problem := ""
	switch {
	case errors.Is(reason, ErrNone):
	case errors.Is(reason, ErrGrant):
		problem = "insufficient_scope"
	case errors.Is(reason, auth.ErrCredentials):
		if isBearer(r) { // only of a token that was shown: clients throw theirs away
			problem = "invalid_token"
		}
	case errors.Is(reason, auth.ErrBusy):
		setRetryAfter(w, reason)
		return ocierr.TooManyRequests
	case errors.Is(reason, ocierr.TooManyRequests):
		setRetryAfter(w, reason)
		return reason
	case errors.Is(reason, auth.ErrUnavailable):
		return errors.Join(ocierr.InternalError.WithStatus(http.StatusServiceUnavailable, nil), reason)
	default:
		return reason
	}
	challenge, err := g.challenge(r, needs, problem)
	if err != nil {
		return err
	}
	w.Header().Set("WWW-Authenticate", challenge)
	return ocierr.Unauthorized
}

// setRetryAfter says when to come back: when the error says, if it does, else soon.
func setRetryAfter(w http.ResponseWriter, err error) {
	seconds := 1.0
	var later interface{ RetryAfter() time.Duration }
	if errors.As(err, &later) {
		seconds = max(math.Ceil(min(later.RetryAfter(), 24*time.Hour).Seconds()), 1)
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
}

// CanPull tells whether a context's caller may pull: what repo asks before a mount.
func (g *Guard) CanPull(ctx context.Context, name ref.Name) bool {
	return auth.CallerOf(ctx).May(ctx, g.decider, name, endpoint.Pull)
}

// Sees tells whether a list may show a repository to a context's caller. A token for a
// list names no repository, so that its owner could pull is enough.
func (g *Guard) Sees(ctx context.Context, name ref.Name) bool {
	return auth.CallerOf(ctx).Could(ctx, g.decider, name, endpoint.Pull)
}

// certificate is the identity of a verified client certificate; ok is false if there is
// none that names anybody.
func (g *Guard) certificate(state *tls.ConnectionState) (id auth.Identity, ok bool) {
	if state == nil || len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return auth.Identity{}, false
	}
	name := auth.CertificateName(state.VerifiedChains[0][0])
	if name == "" {
		return auth.Identity{}, false
	}
	return g.gate.Accounts.Certificate(name), true
}
