package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/authhttp"
	"shibafu.dev/step7-security/auth/keys"
	"shibafu.dev/step7-security/forwarded"
	"shibafu.dev/step7-security/forwardedhttp"
	"shibafu.dev/step7-security/observe"
	"shibafu.dev/step7-security/observe/metrics"
	"shibafu.dev/step7-security/policy"
	"shibafu.dev/step7-security/policyhttp"
	"shibafu.dev/step7-security/ratelimit"
	"shibafu.dev/step7-security/ratelimithttp"
	"shibafu.dev/step7-security/watch"
)

// usersMayUse are the rules where there is no file of them. They make nobody an
// administrator.
const usersMayUse = `{"rules": [{"subjects": ["authenticated"], "repositories": ["*"], "actions": ["pull", "push", "delete", "catalog"]}]}`

// What one address may do: as much as a machine with many workers needs, and guess a
// password now and then.
var (
	usual    = ratelimit.Limits{Requests: ratelimit.Rate{PerSecond: 500, Burst: 2000}, AtOnce: 200, Queue: 200, Wait: 5 * time.Second}
	attempts = ratelimit.Rate{PerSecond: 1, Burst: 10}
)

const sources = 100_000

// guards are what stands between a client and the registry.
type guards struct {
	who     *authhttp.Guard
	may     policy.Guard
	quotas  func() []policy.Quota
	follow  func(ctx context.Context, changed func()) // keeps the rules up to date
	limits  ratelimithttp.Sources
	observe *observe.Observer
	metrics metrics.Registry
}

// newGuards opens what the guards need. Files that change are read again until ctx
// ends.
func newGuards(ctx context.Context, o options, log *slog.Logger) (*guards, error) {
	g := &guards{}
	rules, follow, err := openRules(o.rules, log)
	if err != nil {
		return nil, err
	}
	g.follow = follow
	g.may = policy.Guard{Policy: rules, Subject: func(ctx context.Context) policy.Subject { return subject{auth.CallerOf(ctx).Identity} }}
	g.quotas = func() []policy.Quota { return rules().Quotas() }
	if g.who, err = newGate(ctx, o, decider(rules), log); err != nil {
		return nil, err
	}
	limiter := ratelimit.New(usual, sources)
	g.limits = ratelimithttp.Sources{
		Identity:   func(ctx context.Context) string { return auth.CallerOf(ctx).Identity.Name },
		Identities: limiter,
		Address:    func(r *http.Request) netip.Addr { return address(r.Context()) },
		Addresses:  limiter,
	}
	g.observe = observe.New(observe.Options{Log: log, Metrics: &g.metrics, Client: func(r *http.Request) netip.Addr { return address(r.Context()) }})
	return g, nil
}

// address is where a context's request comes from.
func address(ctx context.Context) netip.Addr { return forwardedhttp.Origin(ctx).Addr }

// openRules returns the rules in force now, and what keeps them up to date until its
// context ends: it calls changed after each change.
func openRules(file string, log *slog.Logger) (rules func() *policy.Policy, follow func(ctx context.Context, changed func()), err error) {
	if file == "" {
		fixed, err := policy.Parse("the rules", []byte(usersMayUse))
		return func() *policy.Policy { return fixed }, func(context.Context, func()) {}, err
	}
	files, err := watch.Open(func(contents [][]byte) (*policy.Policy, error) { return policy.Parse(file, contents[0]) }, file)
	if err != nil {
		return nil, nil, err
	}
	follow = func(ctx context.Context, changed func()) { files.Run(ctx, auth.DefaultInterval, log, changed) }
	return files.Current, follow, nil
}

// newGate opens the users and the keys for their tokens.
func newGate(ctx context.Context, o options, decides auth.Decider, log *slog.Logger) (*authhttp.Guard, error) {
	if err := os.MkdirAll(own(o.root), 0o700); err != nil {
		return nil, err
	}
	accounts, err := auth.Open(auth.Options{
		File: filepath.Join(own(o.root), "users.json"), UseFile: filepath.Join(own(o.root), "uses.json"), Log: log,
		Source:   func(ctx context.Context) string { return ratelimit.AddressKey(address(ctx)) },
		Attempts:   ratelimithttp.Attempts{Failures: ratelimit.NewFailures(attempts, 100, 5*time.Second, sources), Address: address},
	})
	if err != nil {
		return nil, err
	}
	go accounts.Watch(ctx, 0)
	signing, err := keys.Open(filepath.Join(own(o.root), "keys"), keys.Options{})
	if err != nil {
		return nil, err
	}
	go signing.Watch(ctx, time.Minute, log)
	tokens := auth.NewTokens(signing, accounts, decides, auth.TokenOptions{Issuer: "shibafu", Service: "shibafu"})
	return authhttp.New(&auth.Gate{Accounts: accounts, Tokens: tokens}, decides, authhttp.Options{
		Log: log,
		Origin: func(r *http.Request) (scheme, host string) {
			from := forwardedhttp.Origin(r.Context())
			return from.Scheme, from.Host
		},
		Seen: func(r *http.Request, caller auth.Caller, _ error) {
			observe.Identify(r.Context(), caller.Identity.Name)
		},
	})
}

// middleware is what each endpoint is wrapped in, the first to see a request first.
func (g *guards) middleware() []api.Middleware {
	return []api.Middleware{
		g.observe.Middleware,
		g.who.Middleware,
		ratelimithttp.Middleware(g.limits),
		policyhttp.Middleware(g.may, func(ctx context.Context) bool { return auth.CallerOf(ctx).Identity.Kind == auth.Anonymous }),
	}
}

// handler puts the registry's API beside what is not of the specification.
func (g *guards) handler(registry http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(authhttp.TokenPath, g.who.Tokens())
	mux.HandleFunc("GET /metrics", g.figures)
	split := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == authhttp.TokenPath || r.URL.Path == "/metrics" {
			mux.ServeHTTP(w, r)
			return
		}
		registry.ServeHTTP(w, r) // which looks at paths itself
	})
	return forwardedhttp.Handler(forwarded.Trust{}, g.observe.Handler(split))
}

// figures serves the metrics: to this machine, and to who may administer the registry.
func (g *guards) figures(w http.ResponseWriter, r *http.Request) {
	if status := g.measures(r); status != http.StatusOK {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="shibafu", charset="UTF-8"`)
		}
		http.Error(w, http.StatusText(status), status)
		return
	}
	w.Header().Set("Content-Type", metrics.ContentType)
	_ = g.metrics.Write(w) // to whoever has gone
}

// measures is the status of an answer to who wants the metrics. A token is good for none:
// it was given out for repositories.
func (g *guards) measures(r *http.Request) int {
	if isLocal(r) {
		return http.StatusOK
	}
	caller, err := g.who.Caller(r)
	switch {
	case errors.Is(err, ocierr.TooManyRequests) || errors.Is(err, auth.ErrBusy):
		return http.StatusTooManyRequests
	case err != nil || caller.Identity.Kind == auth.Anonymous:
		return http.StatusUnauthorized
	case caller.Grant != nil || !g.may.Decide(auth.WithCaller(r.Context(), caller), ref.Name{}, policy.Admin).Allowed:
		return http.StatusForbidden
	}
	return http.StatusOK
}

// isLocal tells whether a request is of this machine. One that a proxy here passes on
// comes from here too, but says so.
func isLocal(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	return address(r.Context()).IsLoopback()
}

// decider tells package auth what the rules say.
type decider func() *policy.Policy

func (d decider) Allowed(_ context.Context, id auth.Identity, name ref.Name, action endpoint.Action) bool {
	return d().Allows(subject{id}, name, action)
}

// subject is an identity as rules name it.
type subject struct{ auth.Identity }

func (s subject) Kind() policy.Kind { return policy.Kind(s.Identity.Kind) }

// Name is without the prefix that tells kinds apart elsewhere.
func (s subject) Name() string {
	for _, prefix := range []string{auth.RobotPrefix, auth.OIDCPrefix, auth.CertificatePrefix} {
		if rest, ok := strings.CutPrefix(s.Identity.Name, prefix); ok {
			return rest
		}
	}
	return s.Identity.Name
}

func (s subject) Groups() []string { return s.Identity.Groups }

func (s subject) Claim(key string) []string { return s.Identity.Claims[key] }
