package forwardedhttp_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"testing"

	"shibafu.dev/step3-api/api"
	"shibafu.dev/step7-security/forwarded"
	"shibafu.dev/step7-security/forwardedhttp"
	"shibafu.dev/step7-security/tlsconf"
)

func TestHandler(t *testing.T) {
	trust := forwarded.Trust{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	tests := []struct{ name, remote, want string }{
		{"a proxy", "127.0.0.1:1", "192.0.2.9"},
		{"no proxy", "192.0.2.1:1", "192.0.2.1"},
		{"a unix socket", "@", "invalid IP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.remote
			r.Header.Set("X-Forwarded-For", "192.0.2.9")
			got := ""
			forwardedhttp.Handler(trust, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = forwardedhttp.Origin(r.Context()).Addr.String()
			})).ServeHTTP(httptest.NewRecorder(), r)
			if got != tt.want {
				t.Errorf("from %s, want %s", got, tt.want)
			}
		})
	}
	if o := forwardedhttp.Origin(t.Context()); o != (forwarded.Origin{}) {
		t.Errorf("outside of a handler: %+v", o)
	}
}

// The server of step 3 speaks HTTP/2 and HTTP/1.1 over TLS, and its handlers see that.
func TestOverTLS(t *testing.T) {
	certs, err := tlsconf.OpenSelfSigned(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(certs.CA())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(raw)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" "+forwardedhttp.Origin(r.Context()).Scheme)
	})
	go func() {
		served <- api.Serve(ctx, tls.NewListener(tcp, tlsconf.Server(certs, tlsconf.ClientNone, nil)),
			forwardedhttp.Handler(forwarded.Trust{}, handler), api.Limits{}, slog.New(slog.DiscardHandler))
	}()
	for _, two := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: two}
		resp, err := (&http.Client{Transport: transport}).Get("https://" + tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		transport.CloseIdleConnections()
		if want := map[bool]string{false: "HTTP/1.1 https", true: "HTTP/2.0 https"}[two]; string(body) != want {
			t.Errorf("%s, want %s", body, want)
		}
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
