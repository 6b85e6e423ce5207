package api

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step2-cas/bucket"
)

// kept are the headers that a handler may set for its error.
var kept = map[string]bool{
	"Allow": true, "Connection": true, "Content-Range": true, "Location": true, "Range": true, "Retry-After": true, "Www-Authenticate": true,
}

// ErrorOf is what err is sent to a client as. What is not an ocierr is an
// InternalError, and known is false; a full disk, which any write can meet, is
// StorageFull.
func ErrorOf(err error) (e ocierr.Error, known bool) {
	if errors.Is(err, bucket.ErrFull) {
		err = errors.Join(ocierr.StorageFull, err)
	}
	return ocierr.From(err)
}

// writeError sends err in the form of the specification. What is not an ocierr
// is a 500 whose cause goes to the log alone; the response carries an ID to find
// it by.
func (m *Mux) writeError(w http.ResponseWriter, r *http.Request, err error) {
	e, known := ErrorOf(err)
	h := w.Header()
	for name := range h {
		if !kept[name] {
			delete(h, name)
		}
	}
	if e.Status >= 500 {
		m.logFault(w, r, err, known)
	}
	body, jsonErr := json.Marshal(ocierr.Body{Errors: []ocierr.Error{e}})
	if jsonErr != nil {
		e.Detail = nil
		body, _ = json.Marshal(ocierr.Body{Errors: []ocierr.Error{e}})
	}
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(e.Status)
	if r.Method != http.MethodHead {
		w.Write(append(body, '\n'))
	}
}

// logFault logs err under an ID that the response carries; not if the client is
// gone, as that is why it failed.
func (m *Mux) logFault(w http.ResponseWriter, r *http.Request, err error, known bool) {
	if !known && r.Context().Err() != nil {
		return
	}
	id := m.requestID(r)
	w.Header().Set("X-Request-Id", id)
	m.log.LogAttrs(r.Context(), slog.LevelError, "request failed",
		slog.String("id", id), slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("cause", err))
}

func (m *Mux) requestID(r *http.Request) string {
	if m.RequestID != nil {
		return m.RequestID(r.Context())
	}
	return rand.Text()
}

// WriteJSON sends v, as a 200.
func WriteJSON(w http.ResponseWriter, contentType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	w.Write(body)
	return nil
}

// Base answers GET /v2/: this is a registry.
func Base(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	return WriteJSON(w, "application/json", struct{}{})
}
