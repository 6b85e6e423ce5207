package server

import (
	"net/http"
	"net/http/pprof"

	"shibafu.dev/step7-security/health/healthhttp"
	"shibafu.dev/step7-security/observe/metrics"
)

// beside is what the main port serves beside the registry, by the first part of a path.
func (s *Server) beside() map[string]http.Handler {
	return map[string]http.Handler{
		"admin":   s.adminOnPort(),
		"livez":   exactly("/livez", healthhttp.Live()),
		"readyz":  exactly("/readyz", healthhttp.Ready(s.health)),
		"version": s.guards.Admins(exactly("/version", healthhttp.Version(version()))),
		"metrics": s.guards.Admins(exactly("/metrics", http.HandlerFunc(s.writeMetrics))),
	}
}

// exactly serves one path, and nothing below it.
func exactly(path string, h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+path, h)
	return mux
}

// adminHandler serves what is for those who look after the registry.
func (s *Server) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /livez", healthhttp.Live())
	mux.Handle("GET /readyz", healthhttp.Ready(s.health))
	mux.Handle("GET /version", healthhttp.Version(version()))
	mux.HandleFunc("GET /metrics", s.writeMetrics)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

func (s *Server) writeMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", metrics.ContentType)
	_ = s.metrics.Write(w) // to whoever has gone
}
