// Package healthhttp tells over HTTP whether a server is alive, ready, and which one it is.
package healthhttp

import (
	"encoding/json"
	"net/http"
	"runtime"
	"strconv"
	"strings"

	"shibafu.dev/step7-security/health"
)

// Live says that the process answers, and nothing else: whoever restarts what is not alive
// should not do so because a disk is full.
func Live() http.Handler {
	return reading(func(w http.ResponseWriter, r *http.Request) { writeText(w, http.StatusOK, "ok\n") })
}

// Ready says whether the server can do its work, 200 or 503, in a line of text or, with
// ?verbose, in JSON. It names the checks that failed; why they did is in the log.
func Ready(c *health.Checker) http.Handler {
	return reading(func(w http.ResponseWriter, r *http.Request) {
		report, err := c.Ready(r.Context())
		if err != nil { // whoever asked is gone
			return
		}
		status, text := http.StatusOK, "ok\n"
		if !report.Ready {
			status, text = http.StatusServiceUnavailable, "not ready: "+strings.Join(report.Failed(), ", ")+"\n"
		}
		if r.URL.Query().Has("verbose") {
			writeJSON(w, status, report)
			return
		}
		writeText(w, status, text)
	})
}

// Version says which program this is.
func Version(version string) http.Handler {
	return reading(func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, struct {
			Version string `json:"version"`
			Go      string `json:"go"`
			OS      string `json:"os"`
			Arch    string `json:"arch"`
		}{version, runtime.Version(), runtime.GOOS, runtime.GOARCH})
	})
}

// reading lets GET and HEAD through to h.
func reading(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			writeText(w, http.StatusMethodNotAllowed, "GET and HEAD are what there is\n")
			return
		}
		h(w, r)
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // nothing that comes here can fail
		status, body = http.StatusInternalServerError, []byte("{}")
	}
	write(w, status, "application/json", append(body, '\n'))
}

func writeText(w http.ResponseWriter, status int, text string) {
	write(w, status, "text/plain; charset=utf-8", []byte(text))
}

// write sends what no cache should keep.
func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) // net/http drops it for HEAD
}
