package healthhttp_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"shibafu.dev/step7-security/health"
	"shibafu.dev/step7-security/health/healthhttp"
)

func TestHandlers(t *testing.T) {
	checker := func(err error) *health.Checker {
		return health.New(health.Options{},
			health.Check{Name: "storage", Run: func(context.Context) error { return err }},
			health.Check{Name: "keys", Run: func(context.Context) error { return nil }})
	}
	good, bad := healthhttp.Ready(checker(nil)), healthhttp.Ready(checker(errors.New("open /secret/path: no")))
	stopped := checker(nil)
	stopped.Stop()
	for _, tt := range []struct {
		name, method, target string
		handler              http.Handler
		status               int
		body                 string
	}{
		{"alive", "GET", "/livez", healthhttp.Live(), 200, "ok\n"},
		{"alive, by HEAD", "HEAD", "/livez", healthhttp.Live(), 200, "ok\n"}, // which the server drops
		{"ready", "GET", "/readyz", good, 200, "ok\n"},
		{"ready, in full", "GET", "/readyz?verbose", good, 200, `{"ready":true,"checks":[{"name":"storage","ok":true},{"name":"keys","ok":true}]}` + "\n"},
		{"not ready", "GET", "/readyz", bad, 503, "not ready: storage\n"},
		{"not ready, in full", "GET", "/readyz?verbose=1", bad, 503, `{"ready":false,"checks":[{"name":"storage","ok":false},{"name":"keys","ok":true}]}` + "\n"},
		{"ending", "GET", "/readyz", healthhttp.Ready(stopped), 503, "not ready: stopping\n"},
		{"by POST", "POST", "/readyz", good, 405, "GET and HEAD are what there is\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			tt.handler.ServeHTTP(w, httptest.NewRequest(tt.method, tt.target, nil))
			if w.Code != tt.status || w.Body.String() != tt.body || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
			}
		})
	}
}

func TestVersion(t *testing.T) {
	w := httptest.NewRecorder()
	healthhttp.Version("1.2.3").ServeHTTP(w, httptest.NewRequest("GET", "/version", nil))
	if w.Code != 200 || !strings.HasPrefix(w.Body.String(), `{"version":"1.2.3","go":"go1.`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
