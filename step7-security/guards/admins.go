package guards

import (
	"errors"
	"net/http"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/authhttp"
	"shibafu.dev/step7-security/policy"
)

// MayAdmin tells who makes a request that is not of the registry's API, and whether they
// may do something with the registry itself. Tokens that were made here are for
// repositories, and never good for it. Its errors are ocierr.Unauthorized, ocierr.Denied
// and, where that cannot be told now, others.
func (g *Guards) MayAdmin(r *http.Request) (auth.Caller, error) {
	caller, err := g.who.Caller(r)
	switch {
	case err != nil:
	case caller.Grant != nil:
		err = authhttp.ErrGrant
	case caller.Identity.Kind == auth.Anonymous:
		err = authhttp.ErrNone
	case !g.Policy().Decide(subject{caller.Identity}, ref.Name{}, policy.Admin).Allowed:
		err = ocierr.Denied
	}
	identify(r, caller, err)
	if errors.Is(err, auth.ErrCredentials) || errors.Is(err, authhttp.ErrGrant) || errors.Is(err, authhttp.ErrNone) {
		return caller, ocierr.Unauthorized
	}
	return caller, err
}

// Admins lets those through to next who may do something with the registry itself, and
// everybody as long as nobody is asked who they are.
func (g *Guards) Admins(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.Asks() {
			next.ServeHTTP(w, r)
			return
		}
		switch _, err := g.MayAdmin(r); {
		case err == nil:
			next.ServeHTTP(w, r)
		case errors.Is(err, ocierr.Unauthorized):
			w.Header().Set("WWW-Authenticate", `Basic realm="shibafu"`)
			http.Error(w, "say who you are", http.StatusUnauthorized)
		case errors.Is(err, ocierr.Denied):
			http.Error(w, "you may not", http.StatusForbidden)
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "this cannot be told now", http.StatusServiceUnavailable)
		}
	})
}
