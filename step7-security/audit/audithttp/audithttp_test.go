package audithttp_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step7-security/audit"
	"shibafu.dev/step7-security/audit/audithttp"
	"shibafu.dev/step7-security/observe"
	"shibafu.dev/step7-security/ratelimit"
)

const secret = "a-secret-canary"

// told is the part of an event that tests look at.
func told(e audit.Event) string {
	words := []string{string(e.Result), e.Action, e.Identity, e.Kind, e.Repository, e.Reference, strings.Join(e.Tags, "+"), e.From, e.Code, e.Reason}
	return strings.Join(words, "|")
}

func TestEvents(t *testing.T) {
	alice, bob := basic("alice", secret), basic("bob", secret)
	blob := digest.FromBytes([]byte("{}")).String()
	for _, tt := range []struct {
		name, method, target, body string
		header                     []string
		status                     int
		want                       string
		reason                     string
	}{
		{"a read", "GET", "/v2/team/app/manifests/v1", "", []string{"Authorization", alice}, 200, "", "reads change nothing"},
		{"a read of nothing", "GET", "/v2/team/app/manifests/v9", "", []string{"Authorization", alice}, 404, "", "nor do they fail anybody"},
		{"nobody", "GET", "/v2/", "", nil, 401, "", "how every client begins"},
		{"nobody pushes", "POST", "/v2/a/blobs/uploads/", "", nil, 401, "", "the same"},
		{"a wrong password", "GET", "/v2/", "", []string{"Authorization", basic("alice", "wrong")}, 401, "refused|check the API|||||||UNAUTHORIZED|credentials", "whose name was not proved"},
		{"a wrong token", "GET", "/v2/", "", []string{"Authorization", "Bearer a.b.c"}, 401, "refused|check the API|||||||UNAUTHORIZED|credentials", ""},
		{"a push that is denied", "PUT", "/v2/team/app/manifests/v1", "{}", []string{"Authorization", bob}, 403, "refused|push manifest|bob|user|team/app|v1|||DENIED|denied", ""},
		{"an upload is started", "POST", "/v2/team/app/blobs/uploads/", "", []string{"Authorization", alice}, 202, "", "nobody sees it"},
		{"a blob", "POST", "/v2/team/app/blobs/uploads/?digest=" + blob, "{}", []string{"Authorization", alice}, 201, "done|push blob|alice|user|team/app|||||", ""},
		{"a mount", "POST", "/v2/other/blobs/uploads/?mount=" + blob + "&from=team/app", "", []string{"Authorization", alice}, 201, "done|mount blob|alice|user|other|||team/app||", ""},
		{"a mount of nothing", "POST", "/v2/other/blobs/uploads/?mount=" + blob + "&from=team/none", "", []string{"Authorization", alice}, 202, "", "it goes on as an upload"},
		{"a manifest that cannot be one", "PUT", "/v2/team/app/manifests/v1", "{", []string{"Authorization", alice}, 400, "", "it changed nothing, and nobody refused it"},
		{"a tag is deleted", "DELETE", "/v2/team/app/manifests/v2", "", []string{"Authorization", alice}, 202, "done|delete manifest or tag|alice|user|team/app|v2||||", ""},
		{"a blob is deleted", "DELETE", "/v2/other/blobs/" + blob, "", []string{"Authorization", alice}, 404, "", "there is none"},
		{"a fault", "POST", "/v2/broken/blobs/uploads/?digest=" + blob, "{}", []string{"Authorization", alice}, 500, "failed|start upload|alice|user|broken||||INTERNAL_ERROR|", "something may have changed"},
		{"a token", "GET", "/token?service=reg&scope=repository:team/app:pull", "", []string{"Authorization", alice}, 200, "", "each pull has one"},
		{"a login", "GET", "/token?service=reg&offline_token=true", "", []string{"Authorization", alice}, 200, "done|log in|alice|user||||||", ""},
		{"a login of nobody", "GET", "/token?service=reg&offline_token=true", "", nil, 200, "", ""},
		{"a login that fails", "GET", "/token?service=reg&offline_token=true", "", []string{"Authorization", basic("alice", "wrong")}, 401, "refused|token||||||||credentials", ""},
		{"a path of nobody's", "POST", "/v2/team/app/nothing", "", []string{"Authorization", alice}, 404, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, secret, ratelimit.Limits{})
			w.pushAll(secret)
			before := len(w.events())
			if got := w.ask(tt.method, tt.target, tt.body, tt.header...); got.Code != tt.status {
				t.Fatalf("%d %s", got.Code, got.Body)
			}
			got := w.events()[before:]
			switch {
			case tt.want == "" && len(got) > 0:
				t.Errorf("%q (%s)", told(got[0]), tt.reason)
			case tt.want != "" && (len(got) != 1 || told(got[0]) != tt.want):
				t.Errorf("%+v, want %q (%s)", got, tt.want, tt.reason)
			case tt.want != "" && (got[0].ID == "" || got[0].Client != "192.0.2.1" || got[0].Status != tt.status):
				t.Errorf("%+v", got[0])
			}
		})
	}
}

// What was pushed is told with its digest and its tags, under the ID of the access log.
func TestPushes(t *testing.T) {
	w := newWorld(t, secret, ratelimit.Limits{})
	manifest := w.pushAll(secret)
	all := w.events()
	last := all[len(all)-1]
	if len(all) != 3 || last.Digest != manifest.String() || strings.Join(last.Tags, " ") != "v1 v2" || last.Reference != manifest.String() || last.Right != "push" {
		t.Errorf("%+v", all)
	}
	if !strings.Contains(w.log.String(), `"id":"`+last.ID+`"`) {
		t.Errorf("%s is not in\n%s", last.ID, &w.log)
	}
}

// Uploads in sessions: the end of one is told of, and that one was given up.
func TestSessions(t *testing.T) {
	w := newWorld(t, secret, ratelimit.Limits{})
	as := []string{"Authorization", basic("alice", secret)}
	session := func() string { return w.ask("POST", "/v2/a/blobs/uploads/", "", as...).Header().Get("Location") }
	blob := digest.FromBytes([]byte("hello"))
	w.ask("PUT", session()+"?digest="+blob.String(), "hello", as...)
	w.ask("DELETE", session(), "", as...)
	all := w.events()
	if len(all) != 2 || all[0].Action != "finish upload" || all[0].Digest != blob.String() || all[1].Action != "cancel upload" || all[1].Result != audit.Done {
		t.Errorf("%+v", all)
	}
}

// Who is told to come back later is in the log, but cannot fill it.
func TestFlood(t *testing.T) {
	w := newWorld(t, secret, ratelimit.Limits{Requests: ratelimit.Rate{PerSecond: 0.001, Burst: 1}})
	as := []string{"Authorization", basic("alice", secret)}
	for range 1000 {
		w.ask("GET", "/v2/", "", as...)
	}
	all := w.events()
	if n := len(all); n < 30 || n > 40 || all[0].Status != http.StatusTooManyRequests || all[0].Identity != "alice" {
		t.Errorf("%d events, %+v", n, all[0])
	}
}

// What is changed beside the registry's API is told of by whoever changes it.
func TestChanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	log, err := audit.Open(audit.Options{File: file})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	recorder := audithttp.New(log, func(*http.Request) netip.Addr { return netip.Addr{} }) // as over a socket
	change := func(err error) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			recorder.Change(r, "uid 0", "socket", "user.add", "alice", err)
		})
	}
	r := httptest.NewRequest("POST", "/admin/v1/users", nil)
	for _, err := range []error{nil, errors.New("secret cause"), ocierr.Denied} {
		change(err).ServeHTTP(httptest.NewRecorder(), r)
		observe.New(observe.Options{}).Handler(change(err)).ServeHTTP(httptest.NewRecorder(), r)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(raw)) {
		var e audit.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Identity != "uid 0" || e.Action != "user.add" || e.Target != "alice" || e.Client != "" {
			t.Errorf("%v: %s", err, line)
		}
		got = append(got, string(e.Result)+" "+e.Code)
	}
	if want := []string{"done ", "done ", "failed INTERNAL_ERROR", "failed INTERNAL_ERROR", "refused DENIED"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if strings.Contains(string(raw), "secret") {
		t.Error("a cause is in the log")
	}
}

// No secret is in any log, figure or answer, whoever shows it and however.
func TestSecrets(t *testing.T) {
	w := newWorld(t, secret, ratelimit.Limits{})
	w.pushAll(secret)
	canary := func(n string) string { return "canary-" + n }
	var issued struct {
		Token   string
		Refresh string `json:"refresh_token"`
	}
	login := w.ask("GET", "/token?service=reg&offline_token=true&scope=repository:team/app:pull", "", "Authorization", basic("alice", secret))
	if err := json.Unmarshal(login.Body.Bytes(), &issued); err != nil || issued.Token == "" || issued.Refresh == "" {
		t.Fatalf("%v: %s", err, login.Body)
	}
	form := func(values ...string) string {
		v := url.Values{"service": {"reg"}}
		for i := 0; i < len(values); i += 2 {
			v.Add(values[i], values[i+1])
		}
		return v.Encode()
	}
	bad := strings.Replace(issued.Token, ".", ".canary", 1)
	for _, authorization := range []string{
		basic("alice", secret), basic("alice", canary("wrong")), basic(canary("name"), "x"), basic("bob", secret), basic("oidc", canary("oidc")),
		"Basic " + canary("unreadable"), "Basic " + base64.StdEncoding.EncodeToString([]byte(canary("no-colon"))), canary("scheme") + " x", canary("alone"),
		"Bearer " + issued.Token, "Bearer " + bad, "Bearer " + canary("bearer"), "Bearer " + issued.Refresh, "bearer",
	} {
		for _, target := range []string{"/v2/", "/v2/team/app/manifests/v1?token=" + canary("query"), "/v2/_catalog?n=" + canary("n"), "/token?service=reg&access_token=" + canary("token"), "/token?scope=" + canary("scope")} {
			w.ask("GET", target, "", "Authorization", authorization, "Cookie", canary("cookie"), "X-Registry-Auth", canary("header"))
		}
		w.ask("POST", "/v2/broken/blobs/uploads/?digest="+digest.FromBytes([]byte("{}")).String()+"&password="+canary("fault"), "{}", "Authorization", authorization)
		w.ask("PUT", "/v2/team/app/manifests/v1", canary("body"), "Authorization", authorization)
		w.ask("POST", "/v2/team/app/blobs/uploads/?mount="+canary("mount")+"&from="+canary("From"), "", "Authorization", authorization)
	}
	for _, body := range []string{
		form("grant_type", "password", "username", "alice", "password", secret, "access_type", "offline"),
		form("grant_type", "password", "username", "alice", "password", canary("form")),
		form("grant_type", "password", "username", canary("formname"), "password", "x"),
		form("grant_type", "refresh_token", "refresh_token", issued.Refresh),
		form("grant_type", "refresh_token", "refresh_token", canary("refresh")),
		form("grant_type", canary("grant"), "password", canary("grantpassword")), "password=%zz" + canary("broken"),
	} {
		w.ask("POST", "/token", body, "Content-Type", "application/x-www-form-urlencoded")
		w.ask("POST", "/token", body, "Content-Type", canary("type"))
	}
	forbidden := []string{"canary", secret, "Basic ", base64.StdEncoding.EncodeToString([]byte("alice:" + secret)), base64.StdEncoding.EncodeToString([]byte("canary"))[:7]}
	for _, token := range []string{issued.Token, issued.Refresh} { // any part of them
		forbidden = append(forbidden, strings.Split(token, ".")...)
	}
	for where, text := range w.everything() {
		for _, word := range forbidden {
			if word == "Basic " && where == "what clients were told" {
				continue // in a challenge, the name of the scheme
			}
			if i := strings.Index(text, word); i >= 0 {
				t.Errorf("%q is in %s: …%s…", word, where, text[max(i-200, 0):min(i+100, len(text))])
			}
		}
	}
}

// What it costs to find that there is nothing to tell of.
func BenchmarkRead(b *testing.B) {
	log, err := audit.Open(audit.Options{File: filepath.Join(b.TempDir(), "audit.log")})
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	recorder := audithttp.New(log, address)
	q := &observe.Request{HTTP: httptest.NewRequest("GET", "/v2/a/manifests/v1", nil), Endpoint: endpoint.PullManifest, Status: http.StatusOK}
	b.ReportAllocs()
	for b.Loop() {
		recorder.Request(q)
	}
}
