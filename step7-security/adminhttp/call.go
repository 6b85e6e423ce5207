package adminhttp

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step7-security/internal/strictjson"
)

// call is a request that is being answered.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	target string // what something is done to, once that is known
	status int    // of a success; 0 stands for 200, or for 204 if there is no answer
}

// serve answers a request for a route.
func (a *api) serve(c *call, r route) {
	err := a.refuse(c.r)
	refused := err != nil
	var answer any
	if !refused {
		answer, err = r.do(c)
	}
	err = classify(err)
	if refused || r.changes() {
		a.opts.Changed(c.r, r.action, c.target, err)
	}
	c.w.Header().Set("Cache-Control", "no-store")
	switch {
	case err != nil:
		a.fail(c, err)
	case answer == nil:
		c.w.WriteHeader(http.StatusNoContent)
	default:
		c.send(max(c.status, http.StatusOK), answer)
	}
}

// refuse says why a request is not let in: another site's page sent it, or who sent it may
// not.
func (a *api) refuse(r *http.Request) error {
	if err := a.origin.Check(r); err != nil {
		return &ocierr.Error{Code: ocierr.Denied, Message: "sent by the page of another site"}
	}
	if err := checkType(r); err != nil {
		return err
	}
	return a.opts.Authorize(r)
}

// checkType wants a body to be JSON, and says so. Pages of other sites can send the types
// of forms without asking.
//
// Source: Fetch, "CORS-safelisted request-header".
func checkType(r *http.Request) error {
	value := r.Header.Get("Content-Type")
	if value == "" && (r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0) {
		return nil
	}
	switch kind, _, err := mime.ParseMediaType(value); {
	case err == nil && kind == "application/json":
		return nil
	case kind == "text/plain" || kind == "multipart/form-data" || kind == "application/x-www-form-urlencoded":
		return &ocierr.Error{Code: ocierr.Denied, Message: "forms are not taken: want Content-Type: application/json"}
	}
	return &ocierr.Error{Code: ocierr.Unsupported, Status: http.StatusUnsupportedMediaType, Message: "want Content-Type: application/json"}
}

// body is the request's.
func (c *call) body() ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &ocierr.Error{Code: codeInvalid, Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("the body is larger than %d bytes", MaxBody)}
	case err != nil:
		return nil, &ocierr.Error{Code: codeInvalid, Status: http.StatusBadRequest, Message: "the body ended early"}
	}
	return raw, nil
}

// read reads the body into v; none is an empty object. A field that there is not, or is
// there twice, is an error.
func (c *call) read(v any) error {
	raw, err := c.body()
	if err != nil || len(raw) == 0 {
		return err
	}
	return strictjson.Decode(raw, v)
}

// none wants nothing to be said in the body.
func (c *call) none() error { return c.read(&struct{}{}) }

// send sends v as JSON.
func (c *call) send(status int, v any) {
	raw, err := json.Marshal(v)
	if err != nil { // none of the answers can fail
		panic(err)
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(raw)+1))
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		c.w.Write(append(raw, '\n'))
	}
}

// fail sends an error. The cause of a fault goes to the log, and to who is trusted.
func (a *api) fail(c *call, err error) {
	e, known := ocierr.From(err)
	if !known || e.Status >= 500 {
		id := rand.Text()
		c.w.Header().Set("X-Request-Id", id)
		a.opts.Log.LogAttrs(c.r.Context(), slog.LevelError, "admin request failed",
			slog.String("id", id), slog.String("method", c.r.Method), slog.String("path", c.r.URL.Path), slog.Any("cause", err))
		if a.opts.Trusted {
			e.Message = err.Error()
		}
	}
	if e.Status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", `Basic realm="shibafu admin", charset="UTF-8"`)
	}
	c.send(e.Status, ocierr.Body{Errors: []ocierr.Error{e}})
}
