// Package observe tells what a registry does: a line in the access log for each
// request, and figures for Prometheus. It wraps the whole of a registry, to see what
// is really answered, and each endpoint, to learn what was asked for.
//
// observe.go has the log and what is counted, request.go what is known of a request,
// writer.go what looks at the bytes, trace.go the identity of a trace; package metrics
// counts.
package observe

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

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
	// Done is told of each request once it was answered, for an audit; nil if nobody is.
	// What it is given is its own only until it returns.
	Done func(*Request)
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

// Handler observes all that next answers.
func (o *Observer) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &record{Request: Request{HTTP: r, Begin: time.Now()}}
		rec.writer, rec.body = writer{ResponseWriter: w, record: rec}, body{r.Body, rec}
		o.underWay.Add(1)
		defer o.underWay.Add(-1)
		rec.Aborted = true // by a panic, which cuts the connection
		defer o.finish(rec)
		inner := r.WithContext(context.WithValue(r.Context(), recordKey{}, rec))
		if r.Body != nil && r.Body != http.NoBody {
			inner.Body = &rec.body
		}
		next.ServeHTTP(&rec.writer, inner)
		rec.Aborted = false
	})
}

// finish tells of a request that is over.
func (o *Observer) finish(rec *record) {
	rec.Duration = time.Since(rec.Begin)
	rec.Response = rec.writer.Header()
	if !rec.Aborted {
		rec.Status = cmp.Or(rec.Status, http.StatusOK)
		left := rec.HTTP.Context().Err() != nil
		if err := rec.writer.err; err != nil {
			rec.Gone = rec.Gone || left || isClients(err)
			rec.Aborted = !rec.Gone
		} else if left && rec.isShort() {
			rec.Gone = true
		}
	}
	o.count(&rec.Request)
	o.log(&rec.Request)
	if o.opts.Done != nil {
		o.opts.Done(&rec.Request)
	}
}

// other is what stands for what a client can make up.
const other = "other"

func (o *Observer) count(q *Request) {
	name, method := cmp.Or(q.Name, other), known(q.HTTP.Method)
	o.requests.Add(1, name, method, q.outcome())
	o.duration.Observe(q.Duration.Seconds(), name, method)
	if q.Received > 0 {
		o.received.Add(uint64(q.Received), name)
	}
	if q.Sent > 0 {
		o.sent.Add(uint64(q.Sent), name)
	}
}

func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return method
	}
	return other
}

// log writes the line of a request.
func (o *Observer) log(q *Request) {
	if o.opts.Log == nil || !o.wanted(q) {
		return
	}
	level := slog.LevelInfo
	if q.isFault() {
		level = slog.LevelError
	}
	attrs := make([]slog.Attr, 0, 20)
	attrs = append(attrs, slog.String("id", q.ID()), slog.String("method", known(q.HTTP.Method)), slog.Int("status", q.Status),
		slog.Duration("duration", q.Duration), slog.String("client", o.client(q.HTTP)))
	for _, a := range [...]struct{ key, value string }{
		{"identity", q.Caller.Name},
		{"endpoint", q.Name},
		{"spec", q.Spec()},
		{"repository", q.Path.Name.String()},
		{"reference", q.Reference()},
		{"code", string(q.Code)},
		{"agent", q.HTTP.UserAgent()},
		{"trace", q.Trace()},
	} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, clean(a.value)))
		}
	}
	if q.Aborted {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	if q.Gone {
		attrs = append(attrs, slog.Bool("gone", true))
	}
	attrs = append(attrs, slog.Int64("received", q.Received), slog.Int64("sent", q.Sent))
	o.opts.Log.LogAttrs(q.HTTP.Context(), level, "request", attrs...)
}

// isFault tells whether a request failed by a fault of ours.
func (q *Request) isFault() bool {
	return q.Aborted || q.Status >= http.StatusInternalServerError && !q.Gone
}

// wanted tells whether a request has a line: one of so many, if it is a read that went
// well. Clients that read with several connections go away from most of their requests.
func (o *Observer) wanted(q *Request) bool {
	isRead := q.HTTP.Method == http.MethodGet || q.HTTP.Method == http.MethodHead
	if o.opts.Every <= 1 || !isRead || q.isFault() || q.Status >= http.StatusBadRequest && !q.Gone {
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
