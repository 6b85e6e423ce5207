// Package api is the HTTP frame of a registry: it routes by the table of
// endpoints, lets handlers return errors, and is the only place that writes one
// to a client. mux.go routes, errors.go reports, serve.go listens and drains,
// pace.go cuts off those who dribble.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
)

// Handler answers one request. It either writes a response and returns nil, or
// returns an error and has written nothing: headers that it set are dropped, but
// for Allow, Connection, Content-Range, Location, Range, Retry-After and WWW-Authenticate.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Middleware is wrapped around the handler of each endpoint when that is
// registered, so it knows the endpoint, and with it the right that a request
// needs, before any request comes.
type Middleware func(*endpoint.Endpoint, Handler) Handler

// maxURI is the longest request target that is looked at, in bytes.
const maxURI = 16 << 10

// Mux routes requests to the handlers of endpoints. What is in the table of
// endpoints and has no handler answers 405.
type Mux struct {
	mux        *http.ServeMux
	log        *slog.Logger
	middleware []Middleware
	methods    map[string][]string // by pattern, what Allow says
	// PublicURL is put before the paths of Location headers, "https://host[/prefix]".
	// If it is "", they are relative to the host, as the Host header can be
	// anything. It is set before the first request.
	PublicURL string
	// RequestID names a context's request in the log and, after a fault, to its
	// client. nil makes a name up for each fault. It is set before the first request.
	RequestID func(context.Context) string
}

// NewMux returns a mux without handlers. Errors that are not the client's fault
// go to log.
func NewMux(log *slog.Logger) *Mux {
	m := &Mux{mux: http.NewServeMux(), log: log, methods: map[string][]string{}}
	for e := range endpoint.All() {
		if _, done := m.methods[e.Pattern]; done {
			continue
		}
		m.methods[e.Pattern] = nil
		m.handle(exactly(e.Pattern), func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Allow", strings.Join(m.methods[e.Pattern], ", "))
			return ocierr.Unsupported
		})
	}
	m.handle("/", func(w http.ResponseWriter, r *http.Request) error {
		return endpoint.Refusal(endpoint.ErrUnknownPath)
	})
	return m
}

// exactly keeps a pattern that ends with a slash from matching what is below.
func exactly(pattern string) string {
	if strings.HasSuffix(pattern, "/") {
		return pattern + "{$}"
	}
	return pattern
}

// Use adds middleware to the endpoints that are registered from now on. The
// first one added sees a request first.
func (m *Mux) Use(middleware ...Middleware) { m.middleware = append(m.middleware, middleware...) }

// Handle registers h for e. A handler for GET also answers HEAD.
func (m *Mux) Handle(e *endpoint.Endpoint, h Handler) {
	for _, wrap := range slices.Backward(m.middleware) {
		h = wrap(e, h)
	}
	m.methods[e.Pattern] = append(m.methods[e.Pattern], e.Methods...)
	slices.Sort(m.methods[e.Pattern])
	m.handle(e.Methods[0]+" "+exactly(e.Pattern), h)
}

func (m *Mux) handle(pattern string, h Handler) {
	m.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			m.writeError(w, r, err)
		}
	})
}

type requestKey struct{}

// request is what the mux found out about a request.
type request struct {
	path      endpoint.Path
	publicURL string
}

func requestOf(r *http.Request) request {
	if q, ok := r.Context().Value(requestKey{}).(*request); ok {
		return *q
	}
	return request{}
}

// PathOf returns the parts of r's path, checked by their grammars. It is zero
// outside of a Mux.
func PathOf(r *http.Request) endpoint.Path { return requestOf(r).path }

// Location is the value of a Location header that leads to p.
func Location(r *http.Request, p endpoint.Path) string { return requestOf(r).publicURL + p.String() }

// ServeHTTP takes the path apart, checks each part, and folds the name into one
// segment (its slashes encoded), so that the patterns of http.ServeMux match and
// r.PathValue("name") is the name. What is not exactly one of the API's paths
// never reaches the ServeMux, which would answer it with a redirect or in plain
// text.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if len(r.RequestURI) > maxURI {
		m.writeError(w, r, ocierr.Unsupported.WithStatus(http.StatusRequestURITooLong, "the path and query are longer than this registry reads"))
		return
	}
	p, err := endpoint.ParsePath(r.URL.EscapedPath())
	if err != nil {
		m.writeError(w, r, endpoint.Refusal(err))
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, &request{p, m.PublicURL}))
	folded := p.Folded()
	r.URL = &url.URL{Path: p.String(), RawQuery: r.URL.RawQuery}
	if folded != r.URL.Path {
		r.URL.RawPath = folded
	}
	m.mux.ServeHTTP(w, r)
}
