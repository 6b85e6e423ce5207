package wire_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/credential"
	"shibafu.dev/step6-client/wire"
)

// tokens is a registry with a token server of its own, at /token.
type tokens struct {
	mu      sync.Mutex
	asked   []url.Values // of the token server
	how     []string     // method and who asked
	life    int          // of a token, in seconds; 0 for not said
	revoked bool
	denied  bool
}

func (s *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/token" {
		s.token(w, r)
		return
	}
	needed := "pull"
	if r.Method == "PUT" {
		needed = "pull,push"
	}
	raw, _ := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if s.revoked || !strings.Contains(string(raw), needed) {
		s.revoked = false
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="s",scope="repository:a:%s"`, r.Host, needed))
		w.WriteHeader(401)
	}
}

func (s *tokens) token(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	s.asked = append(s.asked, r.Form)
	name, password, _ := r.BasicAuth()
	s.how = append(s.how, r.Method+" "+name+":"+password)
	if s.denied {
		w.WriteHeader(401)
		return
	}
	granted := strings.Join(r.Form["scope"], " ")
	answer := map[string]any{"token": base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprint(len(s.asked), " ", granted)))}
	if s.life != 0 {
		answer["expires_in"] = s.life
	}
	json.NewEncoder(w).Encode(answer)
}

func (s *tokens) do(t *testing.T, c *wire.Conn, method string, actions ...endpoint.Action) int {
	t.Helper()
	r := get(c)
	r.Method = method
	for _, a := range actions {
		r.Scopes = append(r.Scopes, wire.RepositoryScope(ref.MustName("a"), a))
	}
	resp, err := c.Do(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	wire.Discard(resp)
	return resp.StatusCode
}

func TestTokens(t *testing.T) {
	for _, tt := range []struct {
		name  string
		life  int
		cred  credential.Fixed
		steps func(t *testing.T, s *tokens, c *wire.Conn)
		how   []string
		scope [][]string
	}{
		{"anonymous", 300, credential.Fixed{}, func(t *testing.T, s *tokens, c *wire.Conn) {
			s.do(t, c, "GET", endpoint.Pull)
		}, []string{"GET :"}, [][]string{{"repository:a:pull"}}},
		{"with a password", 300, user, func(t *testing.T, s *tokens, c *wire.Conn) {
			s.do(t, c, "GET", endpoint.Pull)
		}, []string{"GET u:" + secret}, [][]string{{"repository:a:pull"}}},
		{"with an identity token", 300, credential.Fixed{IdentityToken: "refresh"}, func(t *testing.T, s *tokens, c *wire.Conn) {
			s.do(t, c, "GET", endpoint.Pull)
		}, []string{"POST :"}, [][]string{{"repository:a:pull"}}},
		{"kept", 300, user, func(t *testing.T, s *tokens, c *wire.Conn) {
			s.do(t, c, "GET", endpoint.Pull)
			time.Sleep(280 * time.Second)
			s.do(t, c, "GET", endpoint.Pull)
		}, []string{"GET u:" + secret}, [][]string{{"repository:a:pull"}}},
		{"not kept to the last second", 300, user, func(t *testing.T, s *tokens, c *wire.Conn) {
			s.do(t, c, "GET", endpoint.Pull)
			time.Sleep(295 * time.Second)
			s.do(t, c, "GET", endpoint.Pull)
		}, []string{"GET u:" + secret, "GET u:" + secret}, [][]string{{"repository:a:pull"}, {"repository:a:pull"}}},
		{"a minute where nobody says", 0, user, func(t *testing.T, s *tokens, c *wire.Conn) {
			s.do(t, c, "GET", endpoint.Pull)
			time.Sleep(45 * time.Second)
			s.do(t, c, "GET", endpoint.Pull)
			time.Sleep(10 * time.Second)
			s.do(t, c, "GET", endpoint.Pull)
		}, []string{"GET u:" + secret, "GET u:" + secret}, [][]string{{"repository:a:pull"}, {"repository:a:pull"}}},
		{"one for pushing pulls too", 300, user, func(t *testing.T, s *tokens, c *wire.Conn) {
			s.do(t, c, "PUT", endpoint.Push)
			s.do(t, c, "GET", endpoint.Pull)
		}, []string{"GET u:" + secret}, [][]string{{"repository:a:pull,push"}}},
		{"one for pulling does not push", 300, user, func(t *testing.T, s *tokens, c *wire.Conn) {
			s.do(t, c, "GET", endpoint.Pull)
			s.do(t, c, "PUT", endpoint.Push)
		}, []string{"GET u:" + secret, "GET u:" + secret}, [][]string{{"repository:a:pull"}, {"repository:a:pull,push"}}},
		{"what the challenge wants is added", 300, user, func(t *testing.T, s *tokens, c *wire.Conn) {
			s.do(t, c, "PUT", endpoint.Delete)
		}, []string{"GET u:" + secret}, [][]string{{"repository:a:delete,pull,push"}}},
		{"revoked", 300, user, func(t *testing.T, s *tokens, c *wire.Conn) {
			s.do(t, c, "GET", endpoint.Pull)
			s.revoked = true
			s.do(t, c, "GET", endpoint.Pull)
		}, []string{"GET u:" + secret, "GET u:" + secret}, [][]string{{"repository:a:pull"}, {"repository:a:pull"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &tokens{life: tt.life}
			inBubble(t, s.ServeHTTP, wire.Options{Credentials: tt.cred}, func(t *testing.T, c *wire.Conn) {
				tt.steps(t, s, c)
			})
			var scopes [][]string
			for _, form := range s.asked {
				scopes = append(scopes, form["scope"])
				if form.Get("service") != "s" {
					t.Errorf("service %q", form.Get("service"))
				}
			}
			if !slices.Equal(s.how, tt.how) || fmt.Sprint(scopes) != fmt.Sprint(tt.scope) {
				t.Errorf("asked %q for %q, want %q for %q", s.how, scopes, tt.how, tt.scope)
			}
		})
	}
}

// The refresh token goes into the form of a POST, whose answer may call its token
// access_token; several scopes are one field there.
func TestRefreshTokenForm(t *testing.T) {
	var form url.Values
	h := func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			r.ParseForm()
			form = r.PostForm
			fmt.Fprint(w, `{"access_token":"good"}`)
		case r.Header.Get("Authorization") != "Bearer good":
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="s"`)
			w.WriteHeader(401)
		}
	}
	inBubble(t, h, wire.Options{Credentials: credential.Fixed{IdentityToken: "refresh"}}, func(t *testing.T, c *wire.Conn) {
		r := get(c)
		r.Scopes = []wire.Scope{"repository:b:pull", "repository:a:pull,push"}
		resp, err := c.Do(t.Context(), r)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		wire.Discard(resp)
	})
	want := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"refresh"}, "service": {"s"}, "client_id": {"shibafu"},
		"scope": {"repository:a:pull,push repository:b:pull"}}
	if form.Encode() != want.Encode() {
		t.Errorf("form %v, want %v", form, want)
	}
}

// Many who need the same token at once cause one request for it.
func TestOneTokenForMany(t *testing.T) {
	s := &tokens{life: 300}
	inBubble(t, s.ServeHTTP, wire.Options{Credentials: user}, func(t *testing.T, c *wire.Conn) {
		s.do(t, c, "GET", endpoint.Pull)
		time.Sleep(time.Hour)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { s.do(t, c, "GET", endpoint.Pull) })
		}
		all.Wait()
	})
	if len(s.asked) != 2 {
		t.Errorf("asked %d times, want 2", len(s.asked))
	}
}

// Wrong credentials are the token server's to refuse, and are not tried again.
func TestTokenDenied(t *testing.T) {
	s := &tokens{denied: true}
	inBubble(t, s.ServeHTTP, wire.Options{Credentials: user}, func(t *testing.T, c *wire.Conn) {
		_, err := c.Do(t.Context(), get(c))
		if !errors.Is(err, wire.ErrToken) || !errors.Is(err, ocierr.Unauthorized) || len(s.asked) != 1 {
			t.Errorf("%v after %d requests", err, len(s.asked))
		}
	})
}

// What a token server answers is read up to a limit, and a token that would be two
// headers is none.
func TestBadTokens(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter){
		"not JSON":       func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") },
		"empty":          func(w http.ResponseWriter) { fmt.Fprint(w, "{}") },
		"newline":        func(w http.ResponseWriter) { fmt.Fprint(w, `{"token":"a\nX: b"}`) },
		"space":          func(w http.ResponseWriter) { fmt.Fprint(w, `{"token":"a b"}`) },
		"UTF-8":          func(w http.ResponseWriter) { fmt.Fprint(w, `{"token":"é"}`) },
		"not text":       func(w http.ResponseWriter) { fmt.Fprint(w, `{"token":1}`) },
		"too large":      func(w http.ResponseWriter) { fmt.Fprint(w, `{"token":"`+strings.Repeat("a", 300<<10)+`"}`) },
		"without an end": func(w http.ResponseWriter) { endless(w, `{"token":"`) },
		"404":            func(w http.ResponseWriter) { w.WriteHeader(404) },
		"redirect": func(w http.ResponseWriter) {
			w.Header().Set("Location", "/other")
			w.WriteHeader(307)
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			registry := listen(t, false, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					asked++
					answer(w)
					return
				}
				if r.Header.Get("Authorization") != "" {
					t.Error("a token was sent")
				}
				w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token"`)
				w.WriteHeader(401)
			})
			_, err := connect(t, registry, wire.Options{}).Do(t.Context(), requestTo(registry, "/v2/"))
			if !errors.Is(err, wire.ErrToken) && !errors.Is(err, wire.ErrRedirect) || asked != 1 {
				t.Errorf("%v after %d requests", err, asked)
			}
		})
	}
}

// endless writes until the other side has had enough.
func endless(w http.ResponseWriter, first string) {
	w.Write([]byte(first))
	more := []byte(strings.Repeat("a", 64<<10))
	for {
		if _, err := w.Write(more); err != nil {
			return
		}
	}
}

// CVE-2026-33540, CVE-2026-48978: a realm gets credentials only if it is the
// registry's own origin or was listed, whatever the registry says.
func TestRealm(t *testing.T) {
	for _, tt := range []struct {
		name  string
		realm func(other *listener) string
		heard int
		want  error
	}{
		{"other port", func(l *listener) string { return l.URL + "/token" }, 1, nil},
		{"other host by plain http", func(l *listener) string { return strings.Replace(l.URL, "127.0.0.1", "localhost", 1) }, 0, wire.ErrOrigin},
		{"user in the URL", func(l *listener) string { return "http://a:b@" + l.host() + "/" }, 0, wire.ErrOrigin},
		{"metadata of a cloud", func(*listener) string { return "https://169.254.169.254/" }, 0, wire.ErrAddress},
		{"a file", func(*listener) string { return "file:///etc/passwd" }, 0, wire.ErrOrigin},
		{"no URL", func(*listener) string { return "://" }, 0, wire.ErrChallenge},
		{"a path", func(*listener) string { return "/token" }, 0, wire.ErrOrigin},
	} {
		for how, cred := range map[string]credential.Fixed{"password": user, "refresh token": {IdentityToken: secret}} {
			t.Run(tt.name+" with a "+how, func(t *testing.T) {
				other := listen(t, false, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"token":"anonymous"}`) })
				registry := listen(t, false, func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Authorization") != "Bearer anonymous" {
						w.Header().Set("WWW-Authenticate", `Bearer realm="`+tt.realm(other)+`",service="s"`)
						w.WriteHeader(401)
					}
				})
				resp, err := connect(t, registry, wire.Options{Credentials: cred}).Do(t.Context(), requestTo(registry, "/v2/"))
				wire.Discard(resp)
				if heard := other.requests(t); heard != tt.heard || !errors.Is(err, tt.want) {
					t.Errorf("heard %d, %v", heard, err)
				}
			})
		}
	}
}

// A token server on another host is trusted with credentials if it is listed, over
// https and by its exact name.
func TestListedTokenServer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		secure bool
		list   func(l *listener) string
		want   string
	}{
		{"listed", true, func(l *listener) string { return l.host() }, "u:" + secret},
		{"listed without its port", true, func(l *listener) string { return "127.0.0.1" }, ":"},
		{"listed, by plain http", false, func(l *listener) string { return l.host() }, ":"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var who string
			server := listen(t, tt.secure, func(w http.ResponseWriter, r *http.Request) {
				name, password, _ := r.BasicAuth()
				who = name + ":" + password
				fmt.Fprint(w, `{"token":"good"}`)
			})
			registry := listen(t, false, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer good" {
					w.Header().Set("WWW-Authenticate", `Bearer realm="`+server.URL+`"`)
					w.WriteHeader(401)
				}
			})
			opts := wire.Options{Credentials: user, TokenServers: []string{tt.list(server)}}
			if tt.secure {
				opts.CAFile = caFile(t, server)
			}
			resp, err := connect(t, registry, opts).Do(t.Context(), requestTo(registry, "/v2/"))
			wire.Discard(resp)
			if err != nil || who != tt.want {
				t.Errorf("asked as %q, want %q; %v", who, tt.want, err)
			}
		})
	}
}

// Who was refused because the credentials stayed here is told so.
func TestWithheldIsSaid(t *testing.T) {
	server := listen(t, false, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) })
	registry := listen(t, false, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+server.URL+`"`)
		w.WriteHeader(401)
	})
	_, err := connect(t, registry, wire.Options{Credentials: user}).Do(t.Context(), requestTo(registry, "/v2/"))
	if !errors.Is(err, ocierr.Unauthorized) || !strings.Contains(err.Error(), "list it as a token server") || server.requests(t) != 1 {
		t.Errorf("%v", err)
	}
}

func TestBasic(t *testing.T) {
	asked := 0
	registry := listen(t, false, func(w http.ResponseWriter, r *http.Request) {
		asked++
		asking(func(w http.ResponseWriter, r *http.Request) {})(w, r)
	})
	for _, tt := range []struct {
		name          string
		cred          credential.Fixed
		status, asked int
	}{
		{"right", user, 200, 3}, // once to learn, then at once
		{"wrong", credential.Fixed{Username: "u", Password: "x"}, 401, 3},
		{"none", credential.Fixed{}, 401, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked = 0
			c := connect(t, registry, wire.Options{Credentials: tt.cred})
			for range 2 {
				resp, err := c.Do(t.Context(), requestTo(registry, "/v2/"))
				if err != nil || resp.StatusCode != tt.status {
					t.Fatal(resp, err)
				}
				wire.Discard(resp)
			}
			if asked != tt.asked {
				t.Errorf("asked %d times, want %d", asked, tt.asked)
			}
		})
	}
}

// broken fails to find credentials.
type broken struct{}

func (broken) Credential(context.Context, string) (credential.Credential, error) {
	return credential.Credential{}, credential.ErrConfig
}

func TestBrokenCredentials(t *testing.T) {
	registry := listen(t, false, asking(nil))
	if _, err := connect(t, registry, wire.Options{Credentials: broken{}}).Do(t.Context(), requestTo(registry, "/")); !errors.Is(err, credential.ErrConfig) {
		t.Errorf("%v", err)
	}
}
