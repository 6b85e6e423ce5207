package authhttp_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"shibafu.dev/step7-security/auth/authhttp"
	"shibafu.dev/step7-security/auth/issuer"
	"shibafu.dev/step7-security/outbound"
)

func TestFetch(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(`{"keys":[]}`)) })
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 256<<10+1)) })
	server := httptest.NewServer(mux)
	defer server.Close()
	tests := []struct {
		name, path, want string
		err              error
	}{
		{"keys", "/keys", `{"keys":[]}`, nil},
		{"redirect", "/elsewhere", "", authhttp.ErrFetch},
		{"nothing", "/none", "", authhttp.ErrFetch},
		{"too large", "/large", "", authhttp.ErrFetch},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw, err := authhttp.NewFetcher(server.Client().Transport).Fetch(t.Context(), server.URL+tt.path)
			if !errors.Is(err, tt.err) || err == nil && string(raw) != tt.want {
				t.Errorf("Fetch = %.40q, %v", raw, err)
			}
		})
	}
}

// Without a transport it reaches the internet and nothing else; with one that is allowed to,
// what is inside.
func TestFetchInside(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"keys":[]}`)) }))
	defer server.Close()
	if _, err := authhttp.NewFetcher(nil).Fetch(t.Context(), server.URL); !errors.Is(err, outbound.ErrAddress) {
		t.Errorf("without: %v, want %v", err, outbound.ErrAddress)
	}
	transport, err := outbound.New(outbound.Options{Allow: issuer.Reach([]issuer.Issuer{{KeysURL: server.URL}})})
	if err != nil {
		t.Fatal(err)
	}
	defer transport.CloseIdleConnections()
	if raw, err := authhttp.NewFetcher(transport).Fetch(t.Context(), server.URL); err != nil || string(raw) != `{"keys":[]}` {
		t.Errorf("with: %q, %v", raw, err)
	}
}
