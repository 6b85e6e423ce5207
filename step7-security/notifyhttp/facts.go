package notifyhttp

import (
	"cmp"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step7-security/forwarded"
	"shibafu.dev/step7-security/notify"
)

// Facts says what is known of requests. Its fields may be nil or empty.
type Facts struct {
	// Origin is where a context's request comes from; forwardedhttp.Origin.
	Origin func(context.Context) forwarded.Origin
	// RequestID is the ID of a context's request; observe.RequestID. Without it each has one
	// of its own.
	RequestID func(context.Context) string
	// Actor names who a context acts for, "" for nobody.
	Actor func(context.Context) string
	// PublicURL is what the registry's URLs begin with, where that is not what a request asked
	// for.
	PublicURL string
}

type requestKey struct{}

// request is what the middleware saw.
type request struct {
	*http.Request
	id func() string
}

// Cause is for notify.Options: of what happens outside of the Middleware, it says who acts.
func (f Facts) Cause(ctx context.Context) notify.Cause {
	cause := notify.Cause{BaseURL: strings.TrimSuffix(f.PublicURL, "/")}
	if f.Actor != nil {
		cause.Actor = f.Actor(ctx)
	}
	r, ok := ctx.Value(requestKey{}).(request)
	if !ok {
		return cause
	}
	from := f.origin(ctx, r)
	cause.Request = notify.Request{ID: f.id(ctx, r), Host: from.Host, Method: r.Method, UserAgent: r.UserAgent()}
	if from.Addr.IsValid() {
		cause.Request.Addr = from.Addr.String()
	}
	if cause.BaseURL == "" && from.Host != "" {
		cause.BaseURL = from.Scheme + "://" + from.Host
	}
	return cause
}

func (f Facts) id(ctx context.Context, r request) string {
	if f.RequestID != nil {
		return f.RequestID(ctx)
	}
	return r.id()
}

func (f Facts) origin(ctx context.Context, r request) forwarded.Origin {
	if f.Origin != nil {
		return f.Origin(ctx)
	}
	return forwarded.Origin{}
}

// Middleware lets Cause know the request, and tells n of what is pulled. It stands behind
// those that refuse requests.
func (f Facts) Middleware(n *notify.Notifier) api.Middleware {
	return func(e *endpoint.Endpoint, next api.Handler) api.Handler {
		pulls := e == endpoint.PullBlob || e == endpoint.PullManifest
		return func(w http.ResponseWriter, r *http.Request) error {
			told := pulls && r.Method == http.MethodGet && n.WantsPulls(api.PathOf(r).Name)
			if r.Method == http.MethodGet && !told || r.Method == http.MethodHead {
				return next(w, r) // nothing comes of it
			}
			r = r.WithContext(context.WithValue(r.Context(), requestKey{}, request{r, sync.OnceValue(rand.Text)}))
			if !told {
				return next(w, r)
			}
			watched := &writer{ResponseWriter: w}
			err := next(watched, r)
			if p, ok := pulled(r, watched); ok && err == nil {
				n.Pull(r.Context(), p)
			}
			return err
		}
	}
}

// pulled reads out of an answer what was pulled. Of a blob that is fetched in pieces, or
// goes on, the one with its beginning counts; what is answered by a 304 is there already.
func pulled(r *http.Request, w *writer) (p notify.Pulled, ok bool) {
	path, h := api.PathOf(r), w.Header()
	p = notify.Pulled{Name: path.Name, Digest: path.Digest}
	size := h.Get("Content-Length")
	switch {
	case w.failed:
		return p, false // who pulled it has left
	case w.status == http.StatusPartialContent:
		from, all, _ := strings.Cut(h.Get("Content-Range"), "/")
		if !strings.HasPrefix(from, "bytes 0-") {
			return p, false
		}
		size = all
	case cmp.Or(w.status, http.StatusOK) != http.StatusOK:
		return p, false
	}
	p.Size, _ = strconv.ParseInt(size, 10, 64)
	if path.Pattern == endpoint.PullManifest.Pattern {
		p.Tag, _ = path.Reference.Tag()
		p.MediaType = h.Get("Content-Type")
		p.Digest, _ = digest.Parse(h.Get("Docker-Content-Digest"))
	}
	return p, true
}

// writer notes the status. It passes ReadFrom on, so that the kernel still sends files.
type writer struct {
	http.ResponseWriter
	status int
	failed bool
}

// Unwrap lets http.ResponseController find what is beneath.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes the status, but for one that another will follow.
func (w *writer) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write notes whether anybody is there.
func (w *writer) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.failed = w.failed || err != nil
	return n, err
}

// ReadFrom notes whether anybody is there.
func (w *writer) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, src)
	w.failed = w.failed || err != nil
	return n, err
}
