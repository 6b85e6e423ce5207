package authhttp

import (
	"errors"
	"net/http"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step7-security/auth"
)

// Shown is what a request shows of who makes it, in a word: "basic", "bearer", "form",
// "certificate" or "anonymous"; "malformed" for a header that cannot be read.
func Shown(r *http.Request) string {
	scheme, _, err := authorization(r)
	switch {
	case err != nil:
		return "malformed"
	case scheme != "":
		return scheme
	case r.URL.Path == TokenPath && r.Method == http.MethodPost:
		return "form"
	case r.TLS != nil && len(r.TLS.VerifiedChains) > 0:
		return "certificate"
	}
	return "anonymous"
}

// Result is what came of asking who makes a request and whether they may, in a word, for
// an error as Options.Seen is told: "ok", "none" where credentials are needed, wrong
// "credentials", a token whose "scope" is too small, "denied", "busy" where too many
// passwords are tried, "request" for one that cannot be read, or "error".
func Result(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrNone):
		return "none"
	case errors.Is(err, auth.ErrCredentials):
		return "credentials"
	case errors.Is(err, ErrGrant):
		return "scope"
	case errors.Is(err, ocierr.Denied):
		return "denied"
	case errors.Is(err, auth.ErrBusy), errors.Is(err, ocierr.TooManyRequests):
		return "busy"
	case errors.Is(err, auth.ErrRequest), errors.Is(err, auth.ErrScope), errors.Is(err, errMethod):
		return "request"
	}
	return "error"
}
