// Package observe tells what a registry does: a line in the access log for each
// request, and figures for Prometheus. It wraps the whole of a registry, to see what
// is really answered, and each endpoint, to learn what was asked for.
//
// observe.go has the record of a request, writer.go what looks at the bytes, trace.go
// the identity of a trace; package metrics counts.
package observe

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step7-security/observe/metrics"
)

// Options say what is observed, and how.
type Options struct {
	// Log gets the access log; nil for none. Its time is that of the request's end.
	Log *slog.Logger
	// Every is how many successful reads share one line of the log: 1, or 0, for a line
	// each. What changes something, or fails, always has one.
	Every uint64
	// Client says whose request it is, where that is not whoever is connected.
	Client func(*http.Request) netip.Addr
	// Metrics gets the figures; nil for nowhere.
	Metrics *metrics.Registry
}

// Observer observes the requests of one registry.
type Observer struct {
	opts  Options
	reads atomic.Uint64

	requests, received, sent *metrics.Counter
	underWay                 *metrics.Gauge
	duration                 *metrics.Histogram
}

// buckets are those of durations, in seconds: from a manifest out of memory to a layer
// over a slow line.
var buckets = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}

// New returns an Observer; its figures are declared in the registry of metrics.
func New(o Options) *Observer {
	if o.Metrics == nil {
		o.Metrics = &metrics.Registry{}
	}
	m := o.Metrics
	return &Observer{
		opts:     o,
		requests: m.Counter("shibafu_http_requests_total", "Requests that were answered.", "endpoint", "method", "status"),
		received: m.Counter("shibafu_http_request_bytes_total", "Bytes of request bodies that were read.", "endpoint"),
		sent:     m.Counter("shibafu_http_response_bytes_total", "Bytes of response bodies that were sent.", "endpoint"),
		underWay: m.Gauge("shibafu_http_requests_in_flight", "Requests that are being answered."),
		duration: m.Histogram("shibafu_http_request_duration_seconds", "Time from a request's header to the end of its answer.", buckets, "endpoint", "method"),
	}
}

// record is what is known of a request. It is filled on the way.
type record struct {
	begin    time.Time
	endpoint *endpoint.Endpoint // nil for a path of nobody's
	path     endpoint.Path
	identity string
	status   int  // 0 if none was sent
	aborted  bool // the answer is not whole
	in, out  int64
}

type recordKey struct{}

func recordOf(ctx context.Context) *record {
	r, _ := ctx.Value(recordKey{}).(*record)
	return r
}

// Identify says who makes the request of that context, for its line in the log.
func Identify(ctx context.Context, name string) {
	if r := recordOf(ctx); r != nil {
		r.identity = name
	}
}

// Middleware learns which endpoint is asked for, and for what. It stands first.
func (o *Observer) Middleware(e *endpoint.Endpoint, next api.Handler) api.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if rec := recordOf(r.Context()); rec != nil {
			rec.endpoint, rec.path = e, api.PathOf(r)
		}
		return next(w, r)
	}
}

// Handler observes all that next answers.
func (o *Observer) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &record{begin: time.Now()}
		o.underWay.Add(1)
		defer o.underWay.Add(-1)
		rec.aborted = true // by a panic, which cuts the connection
		defer func() {
			o.count(r, rec)
			o.log(r, rec)
		}()
		r = r.WithContext(context.WithValue(r.Context(), recordKey{}, rec))
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &body{r.Body, rec}
		}
		next.ServeHTTP(&writer{w, rec}, r)
		rec.aborted = false
		if rec.status == 0 {
			rec.status = http.StatusOK
		}
	})
}

// other is what stands for what a client can make up.
const other = "other"

func (o *Observer) count(r *http.Request, rec *record) {
	name := other
	if rec.endpoint != nil {
		name = rec.endpoint.Name
	}
	method := known(r.Method)
	o.requests.Add(1, name, method, rec.outcome())
	o.duration.Observe(time.Since(rec.begin).Seconds(), name, method)
	if rec.in > 0 {
		o.received.Add(uint64(rec.in), name)
	}
	if rec.out > 0 {
		o.sent.Add(uint64(rec.out), name)
	}
}

func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return method
	}
	return other
}

// outcome is the status, or the word for an answer that is not whole.
func (r *record) outcome() string {
	switch {
	case r.aborted:
		return "aborted"
	case r.status == http.StatusOK: // without an allocation
		return "200"
	}
	return strconv.Itoa(r.status)
}

// log writes the line of a request.
func (o *Observer) log(r *http.Request, rec *record) {
	if o.opts.Log == nil || !o.wanted(r, rec) {
		return
	}
	level := slog.LevelInfo
	if rec.aborted || rec.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	attrs := make([]slog.Attr, 0, 16)
	attrs = append(attrs, slog.String("method", known(r.Method)), slog.Int("status", rec.status),
		slog.Duration("duration", time.Since(rec.begin)), slog.String("client", o.client(r)))
	for _, a := range []struct{ key, value string }{
		{"identity", rec.identity},
		{"endpoint", rec.endpointName()},
		{"repository", rec.path.Name.String()},
		{"reference", rec.reference()},
		{"agent", r.UserAgent()},
		{"trace", traceOf(r)},
	} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, clean(a.value)))
		}
	}
	if rec.aborted {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	attrs = append(attrs, slog.Int64("received", rec.in), slog.Int64("sent", rec.out))
	o.opts.Log.LogAttrs(r.Context(), level, "request", attrs...)
}

// wanted tells whether a request has a line: one of so many, if it is a read that went
// well.
func (o *Observer) wanted(r *http.Request, rec *record) bool {
	isRead := r.Method == http.MethodGet || r.Method == http.MethodHead
	if o.opts.Every <= 1 || !isRead || rec.aborted || rec.status >= http.StatusBadRequest {
		return true
	}
	return o.reads.Add(1)%o.opts.Every == 1
}

func (o *Observer) client(r *http.Request) string {
	if o.opts.Client != nil {
		return o.opts.Client(r).String()
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return at.Addr().Unmap().String()
}

func (r *record) endpointName() string {
	if r.endpoint == nil {
		return ""
	}
	return r.endpoint.Name
}

// reference is the tag or digest that was asked for.
func (r *record) reference() string {
	if !r.path.Digest.IsZero() {
		return r.path.Digest.String()
	}
	if r.path.Pattern == endpoint.PullManifest.Pattern {
		return r.path.Reference.String()
	}
	return ""
}

// clean bounds what comes from a client. That it is one line is the log's to see to.
func clean(text string) string {
	const most = 256
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
