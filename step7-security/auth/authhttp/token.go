package authhttp

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/jwt"
)

// maxForm is the longest form that is read, in bytes: one that holds another's token.
const maxForm = 64 << 10

// Tokens is the token endpoint, to be served at TokenPath. GET takes the credentials from
// the header, and gives a token for what is public to who shows none; POST has them in a
// form. Wrong credentials are 401, never a token for less: a login would seem to succeed.
//
// It is not an endpoint of the registry's API but of OAuth's, so its errors have both
// forms: clients read the one or the other.
func (g *Guard) Tokens() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, id, err := g.asks(w, r)
		g.opts.Seen(r, auth.Caller{Identity: id}, err)
		var answer auth.Response
		if err == nil {
			answer, err = g.gate.Tokens.Issue(r.Context(), id, request)
		}
		if err != nil {
			g.writeError(w, r, err)
			return
		}
		g.opts.Issued(r, id, request)
		writeJSON(w, http.StatusOK, answer)
	})
}

var errMethod = errors.New("neither GET nor POST")

// asks tells what is asked for, and by whom.
func (g *Guard) asks(w http.ResponseWriter, r *http.Request) (auth.Request, auth.Identity, error) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return g.byQuery(r)
	case http.MethodPost:
		return g.byForm(w, r)
	}
	w.Header().Set("Allow", "GET, HEAD, POST")
	return auth.Request{}, auth.Identity{}, errMethod
}

func (g *Guard) byQuery(r *http.Request) (auth.Request, auth.Identity, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return auth.Request{}, auth.Identity{}, auth.ErrRequest
	}
	request, err := auth.ParseQuery(query)
	if err != nil {
		return auth.Request{}, auth.Identity{}, err
	}
	if isBearer(r) { // a token is not made of a token
		return auth.Request{}, auth.Identity{}, auth.ErrCredentials
	}
	caller, err := g.Caller(r)
	return request, caller.Identity, err
}

func (g *Guard) byForm(w http.ResponseWriter, r *http.Request) (auth.Request, auth.Identity, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return auth.Request{}, auth.Identity{}, auth.ErrRequest
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return auth.Request{}, auth.Identity{}, auth.ErrRequest
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return auth.Request{}, auth.Identity{}, auth.ErrRequest
	}
	request, err := auth.ParseForm(form)
	if err != nil {
		return auth.Request{}, auth.Identity{}, err
	}
	id, err := g.gate.Form(r.Context(), request)
	return request, id, err
}

// failure is an error in the registry's form and in OAuth's.
type failure struct {
	ocierr.Body
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// writeError says no. What is not the client's fault is a 500, and in the log.
func (g *Guard) writeError(w http.ResponseWriter, r *http.Request, err error) {
	word, e := "server_error", ocierr.Error{}
	switch {
	case errors.Is(err, errMethod):
		word, e = "invalid_request", *ocierr.Unsupported.With(nil)
	case errors.Is(err, auth.ErrScope):
		word, e = "invalid_scope", *ocierr.Unsupported.WithStatus(http.StatusBadRequest, nil)
		e.Message = "a scope is not of the form TYPE:NAME:ACTIONS"
	case errors.Is(err, auth.ErrRequest):
		word, e = "invalid_request", *ocierr.Unsupported.WithStatus(http.StatusBadRequest, nil)
		e.Message = "the request for a token cannot be read"
	case errors.Is(err, auth.ErrCredentials):
		word, e = "invalid_grant", *ocierr.Unauthorized.With(nil)
		e.Message = "wrong credentials"
		w.Header().Set("WWW-Authenticate", `Basic realm="`+g.gate.Tokens.Service()+`", charset="UTF-8"`)
	case errors.Is(err, auth.ErrBusy), errors.Is(err, ocierr.TooManyRequests):
		word, e = "temporarily_unavailable", *ocierr.TooManyRequests.With(nil)
		setRetryAfter(w, err)
	case errors.Is(err, auth.ErrUnavailable):
		word, e = "temporarily_unavailable", *ocierr.InternalError.WithStatus(http.StatusServiceUnavailable, nil)
		g.opts.Log.Error("no token could be made", "cause", err)
	default:
		e.Code = ocierr.InternalError
		if r.Context().Err() == nil {
			g.opts.Log.Error("no token could be made", "cause", err)
		}
	}
	e, _ = ocierr.From(&e)
	writeJSON(w, e.Status, failure{ocierr.Body{Errors: []ocierr.Error{e}}, word, e.Message})
}

// Keys serves the keys that verify the registry's tokens, for others that want to read
// them.
func Keys(set func() jwt.Set) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			e, _ := ocierr.From(ocierr.Unsupported)
			writeJSON(w, e.Status, ocierr.Body{Errors: []ocierr.Error{e}})
			return
		}
		writeJSON(w, http.StatusOK, set())
	})
}

// writeJSON sends what no cache should keep.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // nothing that comes here can fail
		status, body = http.StatusInternalServerError, []byte("{}")
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) // net/http drops it for HEAD
}
