package authhttp_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"shibafu.dev/step7-security/auth/authhttp"
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
			raw, err := authhttp.NewFetcher(server.Client().Transport).Fetch(t.Context(), server.URL+tt.path, nil)
			if !errors.Is(err, tt.err) || err == nil && string(raw) != tt.want {
				t.Errorf("Fetch = %.40q, %v", raw, err)
			}
		})
	}
}

// Without a transport of its own it reaches the internet, and what is allowed.
func TestFetchInside(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"keys":[]}`)) }))
	defer server.Close()
	f := authhttp.NewFetcher(nil)
	if _, err := f.Fetch(t.Context(), server.URL, nil); !errors.Is(err, outbound.ErrAddress) {
		t.Errorf("not allowed: %v, want %v", err, outbound.ErrAddress)
	}
	if raw, err := f.Fetch(t.Context(), server.URL, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}); err != nil || string(raw) != `{"keys":[]}` {
		t.Errorf("allowed: %q, %v", raw, err)
	}
	if _, err := f.Fetch(t.Context(), server.URL, nil); !errors.Is(err, outbound.ErrAddress) {
		t.Errorf("not allowed for another: %v, want %v", err, outbound.ErrAddress)
	}
}
