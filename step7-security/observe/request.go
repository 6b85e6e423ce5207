package observe

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step3-api/api"
)

// Request is what is known of a request that was answered.
type Request struct {
	// HTTP is the request as it came. Its header, its query and its body hold secrets.
	HTTP *http.Request
	// Endpoint is nil for what is not of the registry's API, and Path zero.
	Endpoint *endpoint.Endpoint
	Path     endpoint.Path
	// Name is what is asked for: the endpoint's name, one given by Named, or "".
	Name   string
	Caller Caller
	// Code is that of the error that a handler of the API returned, "" for none.
	Code ocierr.Code
	// Status is what was sent; 0 for nothing.
	Status int
	// Response is the header that was sent.
	Response http.Header
	// Aborted says that the answer is not whole by a fault of ours, Gone that the client
	// went away before it had all of it, or before it had sent all, or was too slow.
	Aborted, Gone bool
	// Received and Sent are the bytes of both bodies.
	Received, Sent int64
	Begin          time.Time
	Duration       time.Duration

	once sync.Once
	id   string
}

// Caller is who makes a request, as far as is known.
type Caller struct {
	// Name is "" for nobody, and for who did not prove to be anybody.
	Name string
	// Kind is what vouches for the name, in a word: "user", "robot".
	Kind string
	// Result is what came of asking who it is, in a word: "ok", "credentials".
	Result string
}

// ID is the request's own, made when it is first asked for.
func (q *Request) ID() string {
	q.once.Do(func() { q.id = newID() })
	return q.id
}

// newID returns 128 random bits. They are no secret, so the fast source will do.
func newID() string {
	var raw [16]byte
	binary.NativeEndian.PutUint64(raw[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(raw[8:], rand.Uint64())
	return hex.EncodeToString(raw[:])
}

// Trace is the identity of the trace that the request is a part of, "" for none.
func (q *Request) Trace() string { return TraceOf(q.HTTP) }

// Agent is what the client calls itself, in no more than 256 bytes.
func (q *Request) Agent() string { return clean(q.HTTP.UserAgent()) }

// Reference is the tag or the digest that was asked for, "" for none.
func (q *Request) Reference() string {
	if !q.Path.Digest.IsZero() {
		return q.Path.Digest.String()
	}
	if q.Path.Pattern == endpoint.PullManifest.Pattern {
		return q.Path.Reference.String()
	}
	return ""
}

// Spec is the specification's ID of what was asked for, "" for what is not in it.
func (q *Request) Spec() string {
	switch e := q.Endpoint; {
	case e == nil:
		return ""
	case len(e.Variants) == 1 || q.HTTP.URL.RawQuery == "":
		return e.Variants[len(e.Variants)-1].ID
	default:
		return e.Variant(q.HTTP.URL.Query()).ID
	}
}

// outcome is the status, or the word for an answer that did not come about.
func (q *Request) outcome() string {
	switch {
	case q.Aborted:
		return "aborted"
	case q.Gone && q.Status >= http.StatusInternalServerError:
		return "gone" // that is why it failed
	case q.Status == http.StatusOK: // without an allocation
		return "200"
	}
	return strconv.Itoa(q.Status)
}

// isShort tells whether less was sent than announced.
func (q *Request) isShort() bool {
	announced, err := strconv.ParseInt(q.Response.Get("Content-Length"), 10, 64)
	return err == nil && q.Sent < announced && q.HTTP.Method != http.MethodHead
}

// clean bounds what comes from a client. That it is one line is the log's to see to.
func clean(text string) string {
	const most = 256
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// record is a Request that is being answered, and what looks at its bytes.
type record struct {
	Request
	writer writer
	body   body
}

type recordKey struct{}

func recordOf(ctx context.Context) *record {
	r, _ := ctx.Value(recordKey{}).(*record)
	return r
}

// RequestID is the ID of a context's request: the one that stands in the access log. It
// is "" where no request is observed.
func RequestID(ctx context.Context) string {
	if rec := recordOf(ctx); rec != nil {
		return rec.ID()
	}
	return ""
}

// Identify says who makes the request of a context.
func Identify(ctx context.Context, c Caller) {
	if rec := recordOf(ctx); rec != nil {
		rec.Caller = c
	}
}

// Named gives the requests to a handler outside of the registry's API a name, for the log
// and the figures: "token".
func Named(name string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rec := recordOf(r.Context()); rec != nil {
			rec.Name = name
		}
		next.ServeHTTP(w, r)
	})
}

// Middleware learns which endpoint is asked for, and for what, and with which error that
// ends. It stands first.
func (o *Observer) Middleware(e *endpoint.Endpoint, next api.Handler) api.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		rec := recordOf(r.Context())
		if rec == nil {
			return next(w, r)
		}
		rec.Endpoint, rec.Path, rec.Name = e, api.PathOf(r), e.Name
		err := next(w, r)
		if err != nil {
			e, known := api.ErrorOf(err)
			rec.Code = e.Code
			rec.Gone = rec.Gone || !known && errors.Is(r.Context().Err(), context.Canceled)
		}
		return err
	}
}
