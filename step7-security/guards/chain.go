package guards

import (
	"context"
	"net/http"
	"net/netip"
	"path"
	"strings"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/authhttp"
	"shibafu.dev/step7-security/forwardedhttp"
	"shibafu.dev/step7-security/observe"
	"shibafu.dev/step7-security/policyhttp"
	"shibafu.dev/step7-security/ratelimithttp"
)

// Middleware is what each endpoint is wrapped in, the first to see a request first: what
// is told of it, who makes it, how much of that they may, and whether they may at all.
func (g *Guards) Middleware() []api.Middleware {
	anonymous := func(ctx context.Context) bool { return auth.CallerOf(ctx).Identity.Kind == auth.Anonymous }
	return []api.Middleware{
		g.observe.Middleware,
		g.when(g.Asks, g.who.Middleware),
		g.limit(ratelimithttp.Middleware(g.limits)),
		g.when(g.Asks, policyhttp.Middleware(g.May, anonymous)),
	}
}

// when is a middleware that is passed by while something is not so.
func (g *Guards) when(so func() bool, m api.Middleware) api.Middleware {
	return func(e *endpoint.Endpoint, next api.Handler) api.Handler {
		through := m(e, next)
		return func(w http.ResponseWriter, r *http.Request) error {
			if so() {
				return through(w, r)
			}
			return next(w, r)
		}
	}
}

// limit passes by those whose address tells nothing of who they are: this machine's
// own programs, and whoever comes through a proxy here that nobody named.
func (g *Guards) limit(m api.Middleware) api.Middleware {
	return func(e *endpoint.Endpoint, next api.Handler) api.Handler {
		through := m(e, next)
		return func(w http.ResponseWriter, r *http.Request) error {
			if addressOf(r.Context()).IsLoopback() && Caller(r.Context()) == "" {
				return next(w, r)
			}
			return through(w, r)
		}
	}
}

// Handler puts the registry's API beside what is not of the specification, by the first
// part of its path: "metrics" for /metrics. Tokens, and the keys to read them, are added
// to those.
func (g *Guards) Handler(registry http.Handler, beside map[string]http.Handler) http.Handler {
	tokens := map[string]http.Handler{
		authhttp.TokenPath:           observe.Named("token", g.who.Tokens()),
		authhttp.TokenPath + "/keys": observe.Named("keys", authhttp.Keys(g.signing.set)),
	}
	named := map[string]http.Handler{}
	for first, h := range beside {
		named[first] = observe.Named(first, h)
	}
	split := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		own := named[first]
		if t, ok := tokens[r.URL.Path]; ok && g.Asks() {
			own = t
		}
		// A path that is not clean, escaped or not, is refused by the registry rather than led
		// elsewhere by a ServeMux.
		if own == nil || path.Clean(r.URL.Path) != strings.TrimSuffix(r.URL.Path, "/") {
			own = registry
		}
		own.ServeHTTP(w, r)
	})
	return forwardedhttp.Handler(g.opts.Trust, g.observe.Handler(split))
}

// addressOf is where a context's request comes from.
func addressOf(ctx context.Context) netip.Addr { return forwardedhttp.Origin(ctx).Addr }

// ClientOf is where a request comes from, behind the proxies that are trusted.
func ClientOf(r *http.Request) netip.Addr { return addressOf(r.Context()) }

// identify says who makes a request, and what came of asking.
func identify(r *http.Request, caller auth.Caller, err error) {
	id := caller.Identity
	observe.Identify(r.Context(), observe.Caller{Name: id.Name, Kind: string(id.Kind), Result: authhttp.Result(err)})
}
