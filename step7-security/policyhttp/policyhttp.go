// Package policyhttp asks, before a handler runs, whether the caller has the right
// that its endpoint needs.
package policyhttp

import (
	"context"
	"errors"
	"net/http"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step7-security/policy"
	"shibafu.dev/step7-security/quota"
)

// need is the right that an endpoint needs.
type need struct {
	action policy.Action
	// none says that whoever is let in at all may do it.
	none bool
}

// needs has every endpoint; there is no right that others get by default. Who may
// push may do all that create-only may, and what else a push needs is asked where
// the tag is written (policy.Guard.Pusher).
func needs(e *endpoint.Endpoint) (n need, known bool) {
	switch e {
	case endpoint.Base:
		return need{none: true}, true
	case endpoint.PullBlob, endpoint.PullManifest, endpoint.ListTags, endpoint.ListReferrers:
		return need{action: policy.Pull}, true
	case endpoint.StartUpload, endpoint.UploadChunk, endpoint.FinishUpload, endpoint.UploadStatus, endpoint.CancelUpload, endpoint.PushManifest:
		return need{action: policy.CreateOnly}, true
	case endpoint.DeleteBlob, endpoint.DeleteManifest:
		return need{action: policy.Delete}, true
	case endpoint.ListCatalog:
		return need{action: policy.Catalog}, true
	}
	return need{}, false
}

// Decider is a policy.Guard.
type Decider interface {
	Decide(ctx context.Context, name ref.Name, a policy.Action) policy.Decision
}

// Middleware refuses what the policy does not allow, before anything is read or
// looked up: what there is and what there is not look alike. anonymous tells whether
// a context acts for nobody known, who is asked to say who it is (401) rather than
// refused (403 DENIED). An endpoint that this package does not know is refused to
// all.
func Middleware(d Decider, anonymous func(ctx context.Context) bool) api.Middleware {
	return func(e *endpoint.Endpoint, next api.Handler) api.Handler {
		need, known := needs(e)
		return func(w http.ResponseWriter, r *http.Request) error {
			ctx := r.Context()
			switch {
			case known && need.none:
			case known && d.Decide(ctx, api.PathOf(r).Name, need.action).Allowed:
			case anonymous(ctx):
				return ocierr.Unauthorized
			default:
				return ocierr.Denied
			}
			return reason(next(w, r))
		}
	}
}

// reason turns errors of packages policy and quota into the specification's. What is
// over its quota is DENIED, as with Harbor: clients show its text and do not try
// again. A 413 would say that the manifest is too large, and be as wrong for tags.
func reason(err error) error {
	var exceeded *quota.ExceededError
	switch {
	case errors.Is(err, policy.ErrTagExists):
		return &ocierr.Error{Code: ocierr.Denied, Message: "the tag exists, and you have no right to move it"}
	case errors.As(err, &exceeded):
		return &ocierr.Error{Code: ocierr.Denied, Message: exceeded.Error()}
	}
	return err
}
