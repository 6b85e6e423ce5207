// Package audithttp tells the audit log of requests: of those that changed something, and
// of those that were refused.
package audithttp

import (
	"context"
	"net/http"
	"net/netip"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step7-security/audit"
	"shibafu.dev/step7-security/observe"
	"shibafu.dev/step7-security/ratelimit"
)

// What one address may be refused before it is left out, so that nobody fills the log by
// asking for what they may not: all that was told of it is there, and how much was not.
const (
	refusalsPerSecond = 0.5
	refusalsAtFirst   = 30
	sources           = 10_000
)

// Recorder makes events of requests.
type Recorder struct {
	log      *audit.Log
	client   func(*http.Request) netip.Addr
	refusals *ratelimit.Limiter
}

// New returns a Recorder that writes to log. client says where a request comes from.
func New(log *audit.Log, client func(*http.Request) netip.Addr) *Recorder {
	limits := ratelimit.Limits{Requests: ratelimit.Rate{PerSecond: refusalsPerSecond, Burst: refusalsAtFirst}}
	return &Recorder{log, client, ratelimit.New(limits, sources)}
}

// Event is an event with what there is to know of a request that is observed, but what
// was done and by whom.
func (c *Recorder) Event(r *http.Request) audit.Event {
	return audit.Event{
		ID: observe.RequestID(r.Context()), Trace: observe.TraceOf(r),
		Client: c.address(r), Agent: r.UserAgent(),
	}
}

// address is "" for who comes by no network.
func (c *Recorder) address(r *http.Request) string {
	if a := c.client(r); a.IsValid() {
		return a.String()
	}
	return ""
}

// Login tells of somebody who proved who they are and was given what proves it again
// later, without the password.
func (c *Recorder) Login(r *http.Request, identity, kind string) {
	e := c.Event(r)
	e.Identity, e.Kind, e.Action, e.Result, e.Status = identity, kind, "log in", audit.Done, http.StatusOK
	c.log.Write(e)
}

// Change tells of something that somebody changed, or could not, by a request that is not
// of the registry's API: target is what it was done to, err why it was not. Refusals of
// requests that are observed are left to Request.
func (c *Recorder) Change(r *http.Request, identity, kind, action, target string, err error) {
	e := c.Event(r)
	e.Identity, e.Kind, e.Action, e.Target, e.Result = identity, kind, action, target, audit.Done
	if err != nil {
		said, _ := api.ErrorOf(err)
		e.Result, e.Status, e.Code = audit.Failed, said.Status, string(said.Code)
		if said.Code == ocierr.Unauthorized || said.Code == ocierr.Denied {
			e.Result = audit.Refused
		}
	}
	if e.Result == audit.Refused && e.ID != "" {
		return
	}
	c.log.Write(e)
}

// Request tells of a request that was answered, if there is anything to tell: it is what
// observe.Options.Done wants.
func (c *Recorder) Request(q *observe.Request) {
	result, ok := resultOf(q)
	if !ok {
		return
	}
	if result == audit.Refused && !c.mayTell(q) {
		c.log.LeaveOut()
		return
	}
	e := c.Event(q.HTTP)
	e.ID = q.ID() // its context is the one from before it was observed
	e.Identity, e.Kind = q.Caller.Name, q.Caller.Kind
	e.Action, e.Repository, e.Reference = action(q), q.Path.Name.String(), q.Reference()
	e.Result, e.Status, e.Code = result, q.Status, string(q.Code)
	if q.Endpoint != nil {
		e.Right = string(q.Endpoint.Action)
	}
	if result == audit.Refused && q.Caller.Result != "ok" {
		e.Reason = q.Caller.Result
	}
	if result == audit.Done {
		e.Digest, e.Tags, e.From = q.Response.Get("Docker-Content-Digest"), q.Response.Values("Oci-Tag"), source(q)
	}
	c.log.Write(e)
}

// resultOf says what became of a request; ok is false for what is no event.
func resultOf(q *observe.Request) (result audit.Result, ok bool) {
	switch {
	case q.Status == http.StatusForbidden, q.Status == http.StatusTooManyRequests:
		return audit.Refused, isAsked(q)
	case q.Status == http.StatusUnauthorized: // else this is how clients begin
		return audit.Refused, q.Caller.Result == "credentials"
	case !changes(q):
		return "", false
	case q.Status >= http.StatusOK && q.Status < http.StatusMultipleChoices:
		return audit.Done, q.Endpoint != endpoint.StartUpload || q.Status == http.StatusCreated
	case q.Status >= http.StatusInternalServerError, q.Aborted:
		return audit.Failed, true
	}
	return "", false
}

// isAsked tells whether somebody was asked who they are: as in the registry's API, and
// where tokens are given out. Whatever else there is tells of its refusals itself.
func isAsked(q *observe.Request) bool { return q.Endpoint != nil || q.Caller.Result != "" }

// changes tells whether a request is to change what others see.
func changes(q *observe.Request) bool {
	switch q.Endpoint {
	case endpoint.PushManifest, endpoint.StartUpload, endpoint.FinishUpload, endpoint.CancelUpload, endpoint.DeleteManifest, endpoint.DeleteBlob:
		return true
	}
	return false
}

func (c *Recorder) mayTell(q *observe.Request) bool {
	visit, err := c.refusals.Enter(context.Background(), ratelimit.AddressKey(c.client(q.HTTP)), false)
	if err != nil {
		return false
	}
	visit.Leave()
	return true
}

// action is what was asked for: the endpoint's name, or what its query makes of it.
func action(q *observe.Request) string {
	switch {
	case q.Endpoint != endpoint.StartUpload || q.Status != http.StatusCreated:
		return q.Name
	case q.HTTP.URL.Query().Has("mount"):
		return "mount blob"
	}
	return "push blob"
}

// source is the repository that a blob was mounted from, if it was named. What is not a
// repository's name is in no log.
func source(q *observe.Request) string {
	if q.Endpoint != endpoint.StartUpload {
		return ""
	}
	from, err := ref.ParseName(q.HTTP.URL.Query().Get("from"))
	if err != nil {
		return ""
	}
	return from.String()
}
