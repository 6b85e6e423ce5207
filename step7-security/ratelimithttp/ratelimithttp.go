// Package ratelimithttp holds requests to the limits of whoever they are from.
package ratelimithttp

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step7-security/ratelimit"
)

// Sources says who a request is from, and which limits are theirs.
type Sources struct {
	// Identity names who a context acts for; "" if nobody is known, who goes by the
	// address.
	Identity   func(ctx context.Context) string
	Identities *ratelimit.Limiter
	// Address is where a request comes from, behind the proxies that are trusted.
	Address   func(r *http.Request) netip.Addr
	Addresses *ratelimit.Limiter
}

func (s Sources) enter(r *http.Request, goesOn bool) (*ratelimit.Visit, error) {
	if id := s.Identity(r.Context()); id != "" {
		return s.Identities.Enter(r.Context(), id, goesOn)
	}
	return s.Addresses.Enter(r.Context(), ratelimit.AddressKey(s.Address(r)), goesOn)
}

// goesOn tells whether requests to e are part of a push that was begun. Most clients
// give the whole of it up when one is refused.
func goesOn(e *endpoint.Endpoint) bool {
	switch e {
	case endpoint.UploadChunk, endpoint.FinishUpload, endpoint.UploadStatus, endpoint.CancelUpload, endpoint.PushManifest:
		return true
	}
	return false
}

// Middleware lets requests wait and refuses them, 429 with Retry-After, as the limits
// say. Bodies and responses move on as fast as they may.
func Middleware(s Sources) api.Middleware {
	return func(e *endpoint.Endpoint, next api.Handler) api.Handler {
		goesOn := goesOn(e)
		return func(w http.ResponseWriter, r *http.Request) error {
			visit, err := s.enter(r, goesOn)
			if err != nil {
				return Refuse(w, err)
			}
			defer visit.Leave()
			if visit.Slice() > 0 {
				w = &slicedWriter{ResponseWriter: w, visit: visit, ctx: r.Context()}
				if r.Body != nil && r.Body != http.NoBody {
					// A copy, as the server looks at the body of its own request.
					r = r.WithContext(r.Context())
					r.Body = &slicedBody{r.Body, visit, r.Context()}
				}
			}
			return next(w, r)
		}
	}
}

// Refuse turns an error of package ratelimit into the specification's, with the header
// that says when to come back. Others stay as they are.
func Refuse(w http.ResponseWriter, err error) error {
	var refused *ratelimit.RefusedError
	if !errors.As(err, &refused) {
		return err
	}
	seconds := max(math.Ceil(min(refused.After, 24*time.Hour).Seconds()), 1)
	w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	return ocierr.TooManyRequests
}
