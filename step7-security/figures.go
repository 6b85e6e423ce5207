package main

import (
	"net/http"

	"shibafu.dev/step7-security/forwardedhttp"
	"shibafu.dev/step7-security/guards"
	"shibafu.dev/step7-security/observe/metrics"
)

// figures serves metrics: to this machine, and to who may administer the registry.
func figures(m *metrics.Registry, g *guards.Guards) http.Handler {
	write := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", metrics.ContentType)
		_ = m.Write(w) // to whoever has gone
	})
	others := g.Admins(write)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isLocal(r) {
			write(w, r)
			return
		}
		others.ServeHTTP(w, r)
	})
}

// isLocal tells whether a request is of this machine. One that a proxy here passes on
// comes from here too, but says so.
func isLocal(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	return forwardedhttp.Origin(r.Context()).Addr.IsLoopback()
}
