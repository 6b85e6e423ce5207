package authhttp_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step6-client/wire"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/authhttp"
	"shibafu.dev/step7-security/auth/password"
	"shibafu.dev/step7-security/ratelimit"
)

func TestMiddleware(t *testing.T) {
	s := newServer(t, authhttp.Options{}, auth.Options{})
	const (
		start   = `Bearer realm="http://reg.test/token",service="reg"`
		pullA   = `,scope="repository:team/a:pull"`
		pushA   = `,scope="repository:team/a:pull,push"`
		allowed = http.StatusOK
		login   = http.StatusUnauthorized
		denied  = http.StatusForbidden
	)
	alice, bob := basic("alice", horse), basic("bob", horse)
	bearer := func(user, scope string) string { return "Bearer " + s.token(user, scope) }
	tests := []struct {
		name, request, authorization string
		status                       int
		challenge                    string // of a 401
	}{
		{"ping", "GET /v2/", "", login, start},
		{"ping without a slash", "GET /v2", "", login, start},
		{"ping as a user", "GET /v2/", alice, allowed, ""},
		{"ping with a token for nothing", "GET /v2/", bearer("alice", ""), allowed, ""},
		{"ping with nobody's token", "GET /v2/", bearer("", ""), allowed, ""},
		{"ping with a wrong password", "GET /v2/", basic("alice", "x"), login, start},
		{"ping by an unknown user", "GET /v2/", basic("eve", "x"), login, start},
		{"ping with a bad token", "GET /v2/", "Bearer x.y.z", login, start + `,error="invalid_token"`},

		{"public", "GET /v2/public/manifests/latest", "", allowed, ""},
		{"public as a user", "GET /v2/public/manifests/latest", bob, allowed, ""},
		{"public with nobody's token", "GET /v2/public/manifests/latest", bearer("", "repository:public:pull"), allowed, ""},
		{"public with a wrong password", "GET /v2/public/manifests/latest", basic("alice", "x"), login, start + `,scope="repository:public:pull"`},
		{"push to public", "PUT /v2/public/manifests/latest", "", login, start + `,scope="repository:public:pull,push"`},
		{"push to public as a user", "PUT /v2/public/manifests/latest", bob, denied, ""},
		{"push to public with nobody's token", "PUT /v2/public/manifests/latest", bearer("", "repository:public:pull,push"), login, start + `,scope="repository:public:pull,push",error="insufficient_scope"`},

		{"private", "GET /v2/team/a/manifests/latest", "", login, start + pullA},
		{"private, head", "HEAD /v2/team/a/manifests/latest", "", login, start + pullA},
		{"private as a user", "GET /v2/team/a/manifests/latest", bob, allowed, ""},
		{"private with a token", "GET /v2/team/a/manifests/latest", bearer("bob", "repository:team/a:pull"), allowed, ""},
		{"private with a token for nothing", "GET /v2/team/a/manifests/latest", bearer("bob", ""), login, start + pullA + `,error="insufficient_scope"`},
		{"private with a token for another", "GET /v2/team/a/blobs/" + aDigest, bearer("bob", "repository:team/ab:pull"), login, start + pullA + `,error="insufficient_scope"`},
		{"others' as a user", "GET /v2/other/manifests/latest", bob, denied, ""},
		{"others' with a token", "GET /v2/other/manifests/latest", bearer("bob", "repository:other:pull"), denied, ""},

		{"push as who may pull", "PUT /v2/team/a/manifests/latest", bob, denied, ""},
		{"push with a token for pulling", "PUT /v2/team/a/manifests/latest", bearer("alice", "repository:team/a:pull"), login, start + pushA + `,error="insufficient_scope"`},
		{"push with a token for it", "PUT /v2/team/a/manifests/latest", bearer("alice", "repository:team/a:push,pull"), allowed, ""},
		{"delete with a token for pushing", "DELETE /v2/team/a/manifests/latest", bearer("alice", "repository:team/a:push,pull"), login, start + `,scope="repository:team/a:delete",error="insufficient_scope"`},
		{"delete with a token for all", "DELETE /v2/team/a/manifests/latest", bearer("alice", "repository:team/a:*"), allowed, ""},
		{"chunk", "PATCH /v2/team/a/blobs/uploads/" + aSession, "", login, start + pushA},
		{"status of an upload", "GET /v2/team/a/blobs/uploads/" + aSession, bob, denied, ""},

		{"mount", "POST /v2/team/a/blobs/uploads/?mount=" + aDigest + "&from=public", "", login, start + `,scope="repository:team/a:pull,push repository:public:pull"`},
		{"mount from itself", "POST /v2/team/a/blobs/uploads/?mount=" + aDigest + "&from=team/a", "", login, start + pushA},
		{"mount from no name", "POST /v2/team/a/blobs/uploads/?mount=" + aDigest + `&from=A%22`, "", login, start + pushA},
		{"from without mount", "POST /v2/team/a/blobs/uploads/?from=public", "", login, start + pushA},
		{"mount from what may not be pulled", "POST /v2/team/a/blobs/uploads/?mount=" + aDigest + "&from=other", alice, allowed, ""},

		{"catalog", "GET /v2/_catalog", "", login, start + `,scope="registry:catalog:*"`},
		{"catalog as who may", "GET /v2/_catalog", alice, allowed, ""},
		{"catalog with a token", "GET /v2/_catalog", bearer("alice", "registry:catalog:*"), allowed, ""},
		{"catalog as who may not", "GET /v2/_catalog", bob, denied, ""},

		{"Basic in other letters", "GET /v2/", strings.Replace(alice, "Basic", "bASIC", 1), allowed, ""},
		{"Basic that is not base64", "GET /v2/", "Basic %%%", login, start},
		{"Basic without a colon", "GET /v2/", "Basic YWxpY2U=", login, start},
		{"Basic of nothing", "GET /v2/", "Basic ", login, start},
		{"Basic with a control character", "GET /v2/", basic("alice\x00", horse), login, start},
		{"Bearer of nothing", "GET /v2/", "Bearer", login, start + `,error="invalid_token"`},
		{"another scheme", "GET /v2/", "Digest username=alice", login, start},
		{"two headers", "GET /v2/", alice + "\nAuthorization: " + bob, login, start},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := tt.request + " HTTP/1.1"
			if tt.authorization != "" {
				text += "\nAuthorization: " + tt.authorization
			}
			w := s.raw(text)
			if w.Code != tt.status {
				t.Fatalf("%d, want %d: %s", w.Code, tt.status, w.Body)
			}
			if got := strings.Join(w.Header().Values("WWW-Authenticate"), "|"); got != tt.challenge {
				t.Errorf("challenge %s\nwant      %s", got, tt.challenge)
			}
			want := map[int]string{allowed: "", login: "UNAUTHORIZED", denied: "DENIED"}[tt.status]
			if strings.HasPrefix(tt.request, "HEAD ") {
				if w.Body.Len() != 0 {
					t.Errorf("a body: %s", w.Body)
				}
			} else if got := code(w); got != want {
				t.Errorf("code %q, want %q", got, want)
			}
			if tt.challenge != "" {
				if all, err := wire.ParseChallenges([]string{tt.challenge}); err != nil || len(all) != 1 {
					t.Errorf("our own client reads %v, %v", all, err)
				}
			}
		})
	}
}

// What is there and what is not are refused in the same words.
func TestRefusalsTellNothing(t *testing.T) {
	s := newServer(t, authhttp.Options{}, auth.Options{})
	for _, authorization := range []string{"Authorization: " + basic("bob", horse), "X: y"} {
		var answers []string
		for _, name := range []string{"other", "absent"} {
			w := s.raw("GET /v2/" + name + "/manifests/latest HTTP/1.1\n" + authorization)
			answers = append(answers, strings.ReplaceAll(w.Body.String()+w.Header().Get("WWW-Authenticate"), name, "NAME"))
		}
		if answers[0] != answers[1] {
			t.Errorf("%q and %q", answers[0], answers[1])
		}
	}
}

func TestRealm(t *testing.T) {
	behind := func(*http.Request) (string, string) { return "https", "proxy.test:8443" }
	tests := []struct {
		name  string
		opts  authhttp.Options
		host  string
		realm string // "" for a 400
	}{
		{"host", authhttp.Options{}, "reg.test", "http://reg.test/token"},
		{"port", authhttp.Options{}, "localhost:5000", "http://localhost:5000/token"},
		{"IPv6", authhttp.Options{}, "[::1]:5000", "http://[::1]:5000/token"},
		{"public URL", authhttp.Options{PublicURL: "https://pub.test/reg/"}, "evil", "https://pub.test/reg/token"},
		{"proxy", authhttp.Options{Origin: behind}, "inside", "https://proxy.test:8443/token"},
		{"host with a quote", authhttp.Options{}, `a"b`, ""},
		{"host with a user", authhttp.Options{}, "reg.test@evil", ""},
		{"host with a path", authhttp.Options{}, "evil/x", ""},
		{"port without a number", authhttp.Options{}, "reg.test:", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, tt.opts, auth.Options{})
			r := httptest.NewRequest("GET", "/v2/", nil)
			r.Host = tt.host
			w := s.do(r)
			if tt.realm == "" {
				if w.Code != http.StatusBadRequest || w.Header().Get("WWW-Authenticate") != "" {
					t.Errorf("%d %v", w.Code, w.Header())
				}
				return
			}
			if got := w.Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="`+tt.realm+`",`) {
				t.Errorf("challenge %s", got)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for _, u := range []string{"reg.test", "ftp://reg.test", "https://", "https://a@reg.test", "https://reg.test?x", `https://reg.test/"`} {
		gate := &auth.Gate{Tokens: auth.NewTokens(nil, nil, nil, auth.TokenOptions{Service: "reg"})}
		if _, err := authhttp.New(gate, nil, authhttp.Options{PublicURL: u}); !errors.Is(err, authhttp.ErrOptions) {
			t.Errorf("%s: %v", u, err)
		}
	}
	gate := &auth.Gate{Tokens: auth.NewTokens(nil, nil, nil, auth.TokenOptions{Service: `re"g`})}
	if _, err := authhttp.New(gate, nil, authhttp.Options{}); !errors.Is(err, authhttp.ErrOptions) {
		t.Errorf("service: %v", err)
	}
}

func TestCertificate(t *testing.T) {
	s := newServer(t, authhttp.Options{}, auth.Options{})
	request := func(chains [][]*x509.Certificate) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "https://reg.test/v2/", nil)
		r.TLS = &tls.ConnectionState{VerifiedChains: chains, PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: "build-7"}}}}
		return s.do(r)
	}
	named := &x509.Certificate{Subject: pkix.Name{CommonName: "build-7"}}
	if w := request([][]*x509.Certificate{{named}}); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"cert$build-7"`) {
		t.Errorf("verified: %d %s", w.Code, w.Body)
	}
	if w := request(nil); w.Code != http.StatusUnauthorized {
		t.Errorf("not verified: %d", w.Code)
	}
	if w := request([][]*x509.Certificate{{{}}}); w.Code != http.StatusUnauthorized {
		t.Errorf("without a name: %d", w.Code)
	}
}

func TestSeen(t *testing.T) {
	s := newServer(t, authhttp.Options{}, auth.Options{})
	tests := []struct{ name, request, want string }{
		{"nobody", "GET /v2/ HTTP/1.1", "anonymous  no credentials"},
		{"user", "GET /v2/ HTTP/1.1\nAuthorization: " + basic("alice", horse), "user alice <nil>"},
		{"wrong password", "GET /v2/ HTTP/1.1\nAuthorization: " + basic("alice", "x"), "  wrong credentials"},
		{"denied", "GET /v2/other/tags/list HTTP/1.1\nAuthorization: " + basic("alice", horse), "user alice DENIED: requested access to the resource is denied"},
		{"token for less", "GET /v2/team/a/tags/list HTTP/1.1\nAuthorization: Bearer " + s.token("alice", ""), "user alice the token is not good for this"},
		{"login", "GET /token HTTP/1.1\nAuthorization: " + basic("alice", horse), "user alice <nil>"},
		{"login with a wrong password", "GET /token HTTP/1.1\nAuthorization: " + basic("alice", "x"), "  wrong credentials"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.seen = nil
			s.raw(tt.request)
			if got := strings.Join(s.seen, ", "); got != tt.want {
				t.Errorf("seen %q, want %q", got, tt.want)
			}
		})
	}
}

// A context's caller is what mounts and lists go by.
func TestMountsAndLists(t *testing.T) {
	s := newServer(t, authhttp.Options{}, auth.Options{})
	tests := []struct{ name, authorization, want string }{
		{"Basic", basic("alice", horse), `["list repositories","alice",true,true]`},
		{"token for the catalog alone", "Bearer " + s.token("alice", "registry:catalog:*"), `["list repositories","alice",false,true]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if w := s.raw("GET /v2/_catalog HTTP/1.1\nAuthorization: " + tt.authorization); w.Body.String() != tt.want {
				t.Errorf("%d %s, want %s", w.Code, w.Body, tt.want)
			}
		})
	}
}

type limiter struct{ err error }

func (l limiter) Attempt(context.Context) (func(bool), error) { return nil, l.err }

func TestLimits(t *testing.T) {
	soon := errors.Join(ocierr.TooManyRequests, &ratelimit.RefusedError{After: 6500 * time.Millisecond})
	for want, err := range map[string]error{"1": ocierr.TooManyRequests, "7": soon} {
		s := newServer(t, authhttp.Options{}, auth.Options{Attempts: limiter{err}})
		for _, path := range []string{"/v2/", "/token"} {
			w := s.raw("GET " + path + " HTTP/1.1\nAuthorization: " + basic("alice", horse))
			if w.Code != http.StatusTooManyRequests || code(w) != "TOOMANYREQUESTS" || w.Header().Get("Retry-After") != want {
				t.Errorf("%s: %d %s, Retry-After %q, want %s", path, w.Code, w.Body, w.Header().Get("Retry-After"), want)
			}
		}
	}
}

func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan bool)
		s := newServer(t, authhttp.Options{}, auth.Options{Concurrent: 1, Waiting: 1, Patience: time.Second,
			Matches: func(password.Hash, string) bool { return <-hold }})
		go s.gate.Basic(t.Context(), "bob", horse)
		synctest.Wait()
		for _, path := range []string{"/v2/", "/token"} {
			w := s.raw("GET " + path + " HTTP/1.1\nAuthorization: " + basic("alice", horse))
			if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
				t.Errorf("%s: %d %v", path, w.Code, w.Header())
			}
		}
		hold <- true
	})
}

func FuzzAuthorization(f *testing.F) {
	s := newServer(f, authhttp.Options{}, auth.Options{})
	f.Add(basic("alice", "x"))
	f.Add("Bearer a.b.c")
	f.Add("Basic : ")
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest("GET", "/v2/", nil)
		r.Header["Authorization"] = []string{value}
		if w := s.do(r); w.Code != http.StatusUnauthorized {
			t.Errorf("%q: %d", value, w.Code)
		}
	})
}

// Whatever a Host header says, the challenge is one that clients read, and sends them to
// that host and to no other; or there is none.
func FuzzHost(f *testing.F) {
	s := newServer(f, authhttp.Options{}, auth.Options{})
	for _, host := range []string{"reg.test", "[::1]:5000", `a",realm="https://evil`, "a@evil", "evil/x", "evil?", "\x00", "reg.test:"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		r := httptest.NewRequest("GET", "/v2/team/a/tags/list", nil)
		r.Host = host
		w := s.do(r)
		challenges := w.Header().Values("WWW-Authenticate")
		if w.Code == http.StatusBadRequest && len(challenges) == 0 {
			return
		}
		all, err := wire.ParseChallenges(challenges)
		if w.Code != http.StatusUnauthorized || err != nil || len(all) != 1 || len(all[0].Params) != 3 {
			t.Fatalf("%q: %d, %q, %v", host, w.Code, challenges, err)
		}
		realm, err := url.Parse(all[0].Params["realm"])
		if err != nil || realm.Host != host || realm.Path != authhttp.TokenPath || realm.User != nil || realm.RawQuery != "" {
			t.Fatalf("%q: realm %v, %v", host, realm, err)
		}
	})
}
