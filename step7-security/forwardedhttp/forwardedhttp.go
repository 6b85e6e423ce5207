// Package forwardedhttp tells handlers where their requests come from, behind the
// proxies that are trusted.
package forwardedhttp

import (
	"context"
	"net/http"
	"net/netip"

	"shibafu.dev/step7-security/forwarded"
)

type originKey struct{}

// Handler finds out where each request comes from, for Origin, before next sees it.
func Handler(t forwarded.Trust, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := forwarded.Request{TLS: r.TLS != nil, Host: r.Host, Header: r.Header}
		if remote, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			q.Remote = remote.Addr()
		}
		origin := t.Origin(q)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), originKey{}, &origin)))
	})
}

// Origin returns where a context's request comes from. It is zero outside of a Handler.
func Origin(ctx context.Context) forwarded.Origin {
	if o, ok := ctx.Value(originKey{}).(*forwarded.Origin); ok {
		return *o
	}
	return forwarded.Origin{}
}
