package authhttp_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/authhttp"
)

func TestShown(t *testing.T) {
	for _, tt := range []struct {
		name, method, path string
		header             []string
		certificate        bool
		want               string
	}{
		{"nothing", "GET", "/v2/", nil, false, "anonymous"},
		{"a password", "GET", "/v2/", []string{"Basic YTpi"}, false, "basic"},
		{"a token", "GET", "/v2/", []string{"bearer x"}, false, "bearer"},
		{"a certificate", "GET", "/v2/", nil, true, "certificate"},
		{"a token and a certificate", "GET", "/v2/", []string{"Bearer x"}, true, "bearer"},
		{"a form", "POST", "/token", nil, false, "form"},
		{"a question without any", "GET", "/token", nil, false, "anonymous"},
		{"two headers", "GET", "/v2/", []string{"Basic YTpi", "Basic YTpj"}, false, "malformed"},
		{"another scheme", "GET", "/v2/", []string{"Digest x"}, false, "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.path, nil)
			r.Header["Authorization"] = tt.header
			if tt.certificate {
				r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{}}}}
			}
			if got := authhttp.Shown(r); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestResult(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, "ok"}, {authhttp.ErrNone, "none"}, {fmt.Errorf("%w: bad", auth.ErrCredentials), "credentials"}, {authhttp.ErrGrant, "scope"},
		{ocierr.Denied, "denied"}, {auth.ErrBusy, "busy"}, {&ocierr.Error{Code: ocierr.TooManyRequests}, "busy"},
		{auth.ErrRequest, "request"}, {auth.ErrScope, "request"}, {auth.ErrUnavailable, "error"}, {errors.New("x"), "error"},
	} {
		if got := authhttp.Result(tt.err); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.err, got, tt.want)
		}
	}
}

// A token that is given out is told of, with whether its owner can have more without
// a password; one that is refused is not.
func TestIssued(t *testing.T) {
	var issued []string
	s := newServer(t, authhttp.Options{Issued: func(r *http.Request, id auth.Identity, asked auth.Request) {
		issued = append(issued, fmt.Sprint(id.Name, " ", asked.Offline))
	}}, auth.Options{})
	form := func(rest string) string {
		return "POST /token HTTP/1.1\nContent-Type: application/x-www-form-urlencoded\n\nservice=reg&grant_type=password&" + rest
	}
	for _, text := range []string{
		"GET /token?service=reg&offline_token=true HTTP/1.1\nAuthorization: " + basic("alice", horse),
		"GET /token?service=reg HTTP/1.1\nAuthorization: " + basic("alice", "wrong"),
		"GET /token?service=reg HTTP/1.1",
		form("access_type=offline&username=bob&password=" + strings.ReplaceAll(horse, " ", "+")),
		form("access_type=offline&username=bob&password=wrong"),
	} {
		s.raw(text)
	}
	if want := []string{"alice true", " false", "bob true"}; !slices.Equal(issued, want) {
		t.Errorf("%q, want %q", issued, want)
	}
}
