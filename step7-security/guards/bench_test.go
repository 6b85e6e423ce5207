package guards

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step7-security/observe/metrics"
	"shibafu.dev/step7-security/ratelimit"
)

// nowhere is a client that takes everything.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}

// What the guards add to a request for something small.
func BenchmarkChain(b *testing.B) {
	answer := func(w http.ResponseWriter, r *http.Request) error {
		return api.WriteJSON(w, "application/json", struct{}{})
	}
	for _, name := range []string{"bare", "open", "asked", "asked and logged"} {
		b.Run(name, func(b *testing.B) {
			log := slog.New(slog.DiscardHandler)
			mux := api.NewMux(log)
			var h http.Handler = mux
			r := httptest.NewRequest("GET", "/v2/team/app/manifests/v1", nil)
			if name != "bare" {
				o := Options{Folder: b.TempDir(), Metrics: &metrics.Registry{}, Log: log, Ask: name != "open",
					Limits: ratelimit.Limits{Requests: ratelimit.Rate{PerSecond: 1e9, Burst: 1e9}, AtOnce: 1000}}
				if name == "asked and logged" {
					o.Access = slog.New(slog.NewJSONHandler(io.Discard, nil))
				}
				g := opened(b, o)
				if name != "open" {
					r.Header.Set("Authorization", "Bearer "+token(b, g, "repository:team/app:pull"))
				}
				mux.Use(g.Middleware()...)
				h = g.Handler(mux, nil)
			}
			mux.Handle(endpoint.PullManifest, answer)
			b.ReportAllocs()
			for b.Loop() {
				w := nowhere{http.Header{}}
				h.ServeHTTP(w, r)
			}
		})
	}
}
