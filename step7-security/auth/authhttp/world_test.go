package authhttp_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/authhttp"
	"shibafu.dev/step7-security/auth/keys"
)

const (
	horse     = "correct horse"
	horseHash = "$pbkdf2-sha256$1000$8PHy8/T19vf4.fr7/P3./w$JwgcbJZlHBoE0uPBMy9SZsCsIJXsYLx/8XwH97PVwMU"
	aDigest   = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	aSession  = "01234567-89ab-4cde-8f01-23456789abcd"
)

// rules are "NAME REPOSITORY ACTION", any of them "*"; Nobody's name is "-".
type rules []string

func (r rules) Allowed(_ context.Context, id auth.Identity, name ref.Name, action endpoint.Action) bool {
	who := id.Name
	if who == "" {
		who = "-"
	}
	return slices.ContainsFunc(r, func(rule string) bool {
		f := strings.Fields(rule)
		return (f[0] == "*" || f[0] == who) && (f[1] == "*" || f[1] == name.String()) && (f[2] == "*" || f[2] == string(action))
	})
}

// policy lets everybody pull public, alice do anything in team/a and see the catalog, and
// bob pull team/a.
func policy() rules {
	return rules{"* public pull", "alice team/a *", "alice * catalog", "bob team/a pull"}
}

// server is a guarded registry whose handlers say who came in.
type server struct {
	t     testing.TB
	guard *authhttp.Guard
	gate  *auth.Gate
	http.Handler
	seen []string
}

func newServer(t testing.TB, opts authhttp.Options, accounts auth.Options) *server {
	t.Helper()
	folder := t.TempDir()
	accounts.File = filepath.Join(folder, "users.json")
	if err := auth.Edit(accounts.File, func(d *auth.Directory) error {
		d.Users = map[string]auth.UserEntry{"alice": {Password: horseHash}, "bob": {Password: horseHash}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	a, err := auth.Open(accounts)
	if err != nil {
		t.Fatal(err)
	}
	k, err := keys.Open(filepath.Join(folder, "keys"), keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	s.gate = &auth.Gate{Accounts: a, Tokens: auth.NewTokens(k, a, policy(), auth.TokenOptions{Issuer: "https://reg.test", Service: "reg"})}
	opts.Log = log
	opts.Seen = func(r *http.Request, c auth.Caller, err error) {
		s.seen = append(s.seen, fmt.Sprint(c.Identity.Kind, " ", c.Identity.Name, " ", err))
	}
	if s.guard, err = authhttp.New(s.gate, policy(), opts); err != nil {
		t.Fatal(err)
	}
	mux := api.NewMux(log)
	mux.Use(s.guard.Middleware)
	for e := range endpoint.All() {
		mux.Handle(e, func(w http.ResponseWriter, r *http.Request) error {
			c := auth.CallerOf(r.Context())
			return api.WriteJSON(w, "application/json", []any{e.Name, c.Identity.Name, s.guard.CanPull(r.Context(), ref.MustName("team/a")), s.guard.Sees(r.Context(), ref.MustName("team/a"))})
		})
	}
	root := http.NewServeMux()
	root.Handle("/", mux)
	root.Handle(authhttp.TokenPath, s.guard.Tokens())
	root.Handle("/keys", authhttp.Keys(k.Set))
	s.Handler = root
	return s
}

// raw sends a request as it stands on the wire; lines may end without a carriage return.
func (s *server) raw(text string) *httptest.ResponseRecorder {
	s.t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	if !strings.Contains(head, "Host:") {
		head += "\nHost: reg.test"
	}
	if body != "" {
		head += fmt.Sprint("\nContent-Length: ", len(body))
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body)))
	if err != nil {
		s.t.Fatalf("%v: %s", err, text)
	}
	return s.do(r)
}

func (s *server) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// token asks for one, with Basic credentials if user is not "".
func (s *server) token(user, scope string) string {
	s.t.Helper()
	text := "GET /token?service=reg&scope=" + scope + " HTTP/1.1"
	if user != "" {
		text += "\nAuthorization: " + basic(user, horse)
	}
	w := s.raw(text)
	if w.Code != http.StatusOK {
		s.t.Fatalf("%s: %d %s", text, w.Code, w.Body)
	}
	return s.response(w).Token
}

func (s *server) response(w *httptest.ResponseRecorder) (r auth.Response) {
	s.t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
		s.t.Fatalf("%v: %s", err, w.Body)
	}
	return r
}

func basic(user, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret))
}

// code is the code of an answer's first error, "" if it has none.
func code(w *httptest.ResponseRecorder) string {
	var body struct {
		Errors []struct{ Code string }
	}
	if json.Unmarshal(w.Body.Bytes(), &body) != nil || len(body.Errors) == 0 {
		return ""
	}
	return body.Errors[0].Code
}
