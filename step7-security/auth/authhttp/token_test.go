package authhttp_test

import (
	"net/http"
	"strings"
	"testing"

	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/authhttp"
	"shibafu.dev/step7-security/auth/jwt"
)

// What clients send, as they send it.
func TestTokenEndpoint(t *testing.T) {
	s := newServer(t, authhttp.Options{}, auth.Options{})
	const (
		form    = "POST /token HTTP/1.1\nContent-Type: application/x-www-form-urlencoded\n\n"
		good    = http.StatusOK
		bad     = http.StatusBadRequest
		wrong   = http.StatusUnauthorized
		refresh = true
	)
	alice := "\nAuthorization: " + basic("alice", horse)
	tests := []struct {
		name, request string
		status        int
		scope         string
		refresh       bool
	}{
		{"docker logs in", "GET /token?account=alice&client_id=docker&offline_token=true&service=reg HTTP/1.1" + alice, good, "", refresh},
		{"docker logs in with a wrong password", "GET /token?account=alice&client_id=docker&offline_token=true&service=reg HTTP/1.1\nAuthorization: " + basic("alice", "x"), wrong, "", false},
		{"docker pulls what is public", "GET /token?scope=repository%3Apublic%3Apull&service=reg HTTP/1.1", good, "repository:public:pull", false},
		{"docker pulls", "GET /token?account=alice&scope=repository%3Ateam%2Fa%3Apull&service=reg HTTP/1.1" + alice, good, "repository:team/a:pull", false},
		{"docker pushes, with a mount", "GET /token?account=alice&scope=repository%3Ateam%2Fa%3Apush%2Cpull&scope=repository%3Apublic%3Apull&service=reg HTTP/1.1" + alice, good, "repository:team/a:pull,push repository:public:pull", false},
		{"docker asks for a plugin", "GET /token?scope=repository%28plugin%29%3Ateam%2Fa%3Apull&service=reg HTTP/1.1" + alice, good, "repository(plugin):team/a:pull", false},
		{"podman logs in", "GET /token?account=alice&service=reg HTTP/1.1" + alice, good, "", false},
		{"podman pushes", "GET /token?account=alice&scope=repository%3Ateam%2Fa%3Apull%2Cpush&service=reg HTTP/1.1" + alice, good, "repository:team/a:pull,push", false},
		{"skopeo deletes", "GET /token?account=alice&scope=repository%3Ateam%2Fa%3A*&service=reg HTTP/1.1" + alice, good, "repository:team/a:*,delete,pull,push", false},
		{"crane without a service", "GET /token?scope=repository%3Ateam%2Fa%3Apull HTTP/1.1" + alice, good, "repository:team/a:pull", false},
		{"crane lists the catalog", "GET /token?scope=registry%3Acatalog%3A*&service=reg HTTP/1.1" + alice, good, "registry:catalog:*", false},
		{"containerd", form + "client_id=containerd-client&grant_type=password&password=correct+horse&scope=repository%3Ateam%2Fa%3Apull+repository%3Apublic%3Apull&service=reg&username=alice", good, "repository:team/a:pull repository:public:pull", false},
		{"containerd, wrong password", form + "client_id=containerd-client&grant_type=password&password=x&service=reg&username=alice", wrong, "", false},
		{"helm logs in", form + "access_type=offline&client_id=oras-go&grant_type=password&password=correct+horse&service=reg&username=alice", good, "", refresh},
		{"oras", form + "client_id=oras-go&grant_type=password&password=correct+horse&scope=repository%3Ateam%2Fa%3Apull%2Cpush&service=reg&username=alice", good, "repository:team/a:pull,push", false},
		{"oras, wrong refresh token", form + "client_id=oras-go&grant_type=refresh_token&refresh_token=x&service=reg", wrong, "", false},
		{"form with a character set", strings.Replace(form, "urlencoded", "urlencoded; charset=utf-8", 1) + "grant_type=password&password=correct+horse&username=alice", good, "", false},

		{"more than may be", "GET /token?scope=repository%3Aother%3Apull&service=reg HTTP/1.1" + alice, good, "", false},
		{"another service", "GET /token?service=other HTTP/1.1" + alice, bad, "", false},
		{"bad scope", "GET /token?scope=repository HTTP/1.1" + alice, bad, "", false},
		{"bad query", "GET /token?scope=%zz HTTP/1.1", bad, "", false},
		{"unknown user", "GET /token HTTP/1.1\nAuthorization: " + basic("eve", horse), wrong, "", false},
		{"a token for a token", "GET /token HTTP/1.1\nAuthorization: Bearer " + s.token("alice", ""), wrong, "", false},
		{"header that cannot be read", "GET /token HTTP/1.1\nAuthorization: Basic x", wrong, "", false},
		{"password in the query of a form", "POST /token?grant_type=password&username=alice&password=correct+horse HTTP/1.1\nContent-Type: application/x-www-form-urlencoded\n\nx=y", bad, "", false},
		{"JSON", "POST /token HTTP/1.1\nContent-Type: application/json\n\n{}", bad, "", false},
		{"form without a type", "POST /token HTTP/1.1\n\ngrant_type=password&username=alice", bad, "", false},
		{"long form", form + "grant_type=password&username=" + strings.Repeat("a", 64<<10), bad, "", false},
		{"another method", "PUT /token HTTP/1.1", http.StatusMethodNotAllowed, "", false},
	}
	codes := map[int]string{bad: "UNSUPPORTED", wrong: "UNAUTHORIZED", http.StatusMethodNotAllowed: "UNSUPPORTED"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := s.raw(tt.request)
			if w.Code != tt.status || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %v %s, want %d", w.Code, w.Header(), w.Body, tt.status)
			}
			if code(w) != codes[tt.status] {
				t.Errorf("code %q in %s", code(w), w.Body)
			}
			if tt.status != good {
				return
			}
			r := s.response(w)
			if r.Token == "" || r.Token != r.AccessToken || r.ExpiresIn < 60 || r.Scope != tt.scope || (r.RefreshToken != "") != tt.refresh {
				t.Errorf("answer %+v", r)
			}
		})
	}
}

// What docker keeps after a login is good for tokens.
func TestRefreshToken(t *testing.T) {
	s := newServer(t, authhttp.Options{}, auth.Options{})
	r := s.response(s.raw("GET /token?account=alice&client_id=docker&offline_token=true&service=reg HTTP/1.1\nAuthorization: " + basic("alice", horse)))
	w := s.raw("POST /token HTTP/1.1\nContent-Type: application/x-www-form-urlencoded\n\nclient_id=docker&grant_type=refresh_token&refresh_token=" +
		r.RefreshToken + "&scope=repository%3Ateam%2Fa%3Apull&service=reg")
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	token := s.response(w).AccessToken
	if w := s.raw("GET /v2/team/a/manifests/latest HTTP/1.1\nAuthorization: Bearer " + token); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := s.raw("GET /v2/ HTTP/1.1\nAuthorization: Bearer " + r.RefreshToken); w.Code != http.StatusUnauthorized {
		t.Errorf("a refresh token is taken for an access token: %d", w.Code)
	}
}

func TestKeys(t *testing.T) {
	s := newServer(t, authhttp.Options{}, auth.Options{})
	w := s.raw("GET /keys HTTP/1.1")
	set, err := jwt.ParseSet(w.Body.Bytes())
	if err != nil || set.Len() != 1 || strings.Contains(w.Body.String(), `"d"`) {
		t.Errorf("%s: %v", w.Body, err)
	}
	if w := s.raw("POST /keys HTTP/1.1"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}
