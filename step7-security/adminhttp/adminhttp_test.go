package adminhttp_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step7-security/admin"
	"shibafu.dev/step7-security/adminhttp"
)

// etag is that of the rules, "" if there are none.
func (w *world) etag() string {
	w.t.Helper()
	return w.ask("GET", adminhttp.Prefix+"policy", "").Header().Get("ETag")
}

// The whole API: what is asked, what is answered, and what the audit log is told. What
// fails changes nothing.
func TestAPI(t *testing.T) {
	user := func(rest string) string { return `{"name": "carol", "password": "` + secret + `"` + rest + `}` }
	long := strings.Repeat("x", adminhttp.MaxBody+1)
	tests := []struct {
		name, method, path, body string
		status                   int
		answer                   string // is in the answer
		told                     string
	}{
		{"users", "GET", "users", "", 200, `{"name":"alice","disabled":false,"groups":["team"]},{"name":"bob","disabled":true,"groups":[]}`, ""},
		{"add a user", "POST", "users", user(`, "groups": ["team", "new"]`), 201, `{"name":"carol"}`, "add user carol"},
		{"a user that is there", "POST", "users", `{"name": "alice", "password": "` + secret + `"}`, 409, "EXISTS", "add user alice: failed"},
		{"a user that is there in other letters", "POST", "users", `{"name": "ALICE", "password": "` + secret + `"}`, 409, "EXISTS", "add user ALICE: failed"},
		{"a user without a password", "POST", "users", `{"name": "carol"}`, 400, "not a possible password", "add user carol: failed"},
		{"a weak password", "POST", "users", `{"name": "carol", "password": "` + weak + `"}`, 400, "7 characters, want 15 or more", "add user carol: failed"},
		{"a name that cannot be", "POST", "users", `{"name": "robot$x", "password": "` + secret + `"}`, 400, "not a possible name", "add user robot$x: failed"},
		{"a group that cannot be", "POST", "users", user(`, "groups": ["a b"]`), 400, "not a possible name", "add user carol: failed"},
		{"a privileged field", "POST", "users", user(`, "admin": true`), 400, `unknown field \"admin\"`, "add user: failed"},
		{"a privileged field of Harbor's", "POST", "users", user(`, "has_admin_role": true`), 400, `unknown field`, "add user: failed"},
		{"a field of the file", "POST", "users", user(`, "disabled": false`), 400, `unknown field`, "add user: failed"},
		{"a field twice", "POST", "users", user(`, "password": "another one of many"`), 400, "is there twice", "add user: failed"},
		{"a field twice in other letters", "POST", "users", user(`, "Name": "alice"`), 400, "is there twice", "add user: failed"},
		{"no JSON", "POST", "users", `name=carol`, 400, "not a JSON object", "add user: failed"},
		{"something behind", "POST", "users", user("") + "{}", 400, "something follows the end", "add user: failed"},
		{"a list", "POST", "users", "[" + user("") + "]", 400, "not a JSON object", "add user: failed"},
		{"too much", "POST", "users", long, 413, "larger than 1048576 bytes", "add user: failed"},
		{"a password", "PUT", "users/alice/password", `{"password": "another one of many"}`, 204, "", "set password alice"},
		{"a password of nobody's", "PUT", "users/carol/password", `{"password": "another one of many"}`, 404, "UNKNOWN", "set password carol: failed"},
		{"a password for a robot", "PUT", "users/robot$ci/password", `{"password": "another one of many"}`, 400, "INVALID", "set password robot$ci: failed"},
		{"a weak password for a user", "PUT", "users/alice/password", `{"password": "` + weak + `"}`, 400, "INVALID", "set password alice: failed"},
		{"disable", "POST", "users/alice/disable", "", 204, "", "disable user alice"},
		{"disable, with a body of nothing", "POST", "users/alice/disable", "{}", 204, "", "disable user alice"},
		{"disable, with more to say", "POST", "users/alice/disable", `{"until": "tomorrow"}`, 400, "unknown field", "disable user alice: failed"},
		{"disable nobody", "POST", "users/carol/disable", "", 404, "UNKNOWN", "disable user carol: failed"},
		{"enable", "POST", "users/bob/enable", "", 204, "", "enable user bob"},
		{"remove", "DELETE", "users/alice", "", 204, "", "remove user alice"},
		{"remove nobody", "DELETE", "users/carol", "", 404, "UNKNOWN", "remove user carol: failed"},
		{"remove a path", "DELETE", "users/..%2fusers.json", "", 404, "UNKNOWN", "remove user ../users.json: failed"},

		{"robots", "GET", "robots", "", 200, `{"name":"ci","login":"robot$ci","note":"builds","disabled":false,`, ""},
		{"add a robot", "POST", "robots", `{"name": "cd", "note": "deploys", "expires": "2999-01-01T00:00:00Z", "groups": ["team"]}`, 201, `"secret":"shibafu_robot_`, "add robot cd"},
		{"a robot that is there", "POST", "robots", `{"name": "ci"}`, 409, "EXISTS", "add robot ci: failed"},
		{"a robot of the past", "POST", "robots", `{"name": "cd", "expires": "2001-01-01T00:00:00Z"}`, 400, "want a time to come", "add robot cd: failed"},
		{"a robot of no time", "POST", "robots", `{"name": "cd", "expires": "90d"}`, 400, "want a time to come", "add robot cd: failed"},
		{"a robot's own secret", "POST", "robots", `{"name": "cd", "secret": "x"}`, 400, "unknown field", "add robot: failed"},
		{"a note of two lines", "POST", "robots", `{"name": "cd", "note": "a\nb"}`, 400, "one line", "add robot cd: failed"},
		{"renew", "POST", "robots/ci/renew", "", 200, `"secret":"shibafu_robot_`, "renew robot ci"},
		{"renew until", "POST", "robots/ci/renew", `{"expires": "2999-01-01T00:00:00Z"}`, 200, `"expires":"2999-01-01T00:00:00Z"`, "renew robot ci"},
		{"renew nobody", "POST", "robots/cd/renew", "", 404, "UNKNOWN", "renew robot cd: failed"},
		{"disable a robot", "POST", "robots/ci/disable", "", 204, "", "disable robot ci"},
		{"enable a robot", "POST", "robots/ci/enable", "", 204, "", "enable robot ci"},
		{"remove a robot", "DELETE", "robots/ci", "", 204, "", "remove robot ci"},
		{"remove no robot", "DELETE", "robots/alice", "", 404, "UNKNOWN", "remove robot alice: failed"},

		{"groups", "GET", "groups", "", 200, `{"groups":[{"name":"readers","members":["oidc$github:acme/app"]},{"name":"team","members":["alice","robot$ci"]}]}`, ""},
		{"join", "PUT", "groups/team/members/bob", "", 204, "", "join group team/bob"},
		{"join again", "PUT", "groups/team/members/alice", "", 204, "", "join group team/alice"},
		{"join with a slash in the name", "PUT", "groups/team/members/oidc$gitlab:a%2Fb", "", 204, "", "join group team/oidc$gitlab:a/b"},
		{"join in other letters", "PUT", "groups/Team/members/bob", "", 409, "EXISTS", "join group Team/bob: failed"},
		{"join with a space", "PUT", "groups/team/members/a%20b", "", 400, "INVALID", "join group team/a b: failed"},
		{"leave", "DELETE", "groups/team/members/alice", "", 204, "", "leave group team/alice"},
		{"leave what one is not in", "DELETE", "groups/team/members/bob", "", 404, "UNKNOWN", "leave group team/bob: failed"},
		{"remove a group", "DELETE", "groups/team", "", 204, "", "remove group team"},
		{"remove no group", "DELETE", "groups/none", "", 404, "UNKNOWN", "remove group none: failed"},

		{"policy", "GET", "policy", "", 200, `"inForce":true}`, ""},
		{"check", "POST", "policy/check", `{"text": "{\"rules\": []}"}`, 200, `{"valid":true}`, ""},
		{"check what cannot be", "POST", "policy/check", `{"text": "{\"rules\":\n 1}"}`, 200, `{"valid":false,"error":"policy:2:2: want an array"}`, ""},
		{"replace without saying what", "PUT", "policy", usersMayPull, 428, "If-Match", "replace policy: failed"},

		{"keys", "GET", "keys", "", 200, `"algorithm":"EdDSA"`, ""},
		{"sessions", "GET", "sessions", "", 200, `{"sessions":[]}`, ""},
		{"cancel no session", "DELETE", "sessions/none", "", 404, "UNKNOWN", "cancel upload none: failed"},
		{"statistics", "GET", "stats", "", 200, `"authentication":true,"uptimeSeconds":0,"sessions":0}`, ""},
		{"level", "GET", "log-level", "", 200, `{"level":"info"}`, ""},
		{"set the level", "PUT", "log-level", `{"level": "debug"}`, 200, `{"level":"debug"}`, "set log level debug"},
		{"no level", "PUT", "log-level", `{"level": "loud"}`, 400, "want debug, info, warn or error", "set log level loud: failed"},
		{"reload", "POST", "reload", "", 200, `{"results":[{"name":"users","ok":true},{"name":"certificates","ok":false,"error":"expired"}]}`, "reload"},
		{"health", "GET", "health", "", 200, `{"healthy":false,"checks":[{"name":"storage","ok":true},{"name":"keys","ok":false,"error":"none"}]}`, ""},

		{"nothing", "GET", "nothing", "", 404, "UNKNOWN", ""},
		{"the prefix alone", "GET", "", "", 404, "UNKNOWN", ""},
		{"a slash behind", "GET", "users/", "", 404, "UNKNOWN", ""},
		{"a dot", "DELETE", "users/./alice", "", 404, "UNKNOWN", ""},
		{"a way up", "DELETE", "users/x/../alice", "", 404, "UNKNOWN", ""},
		{"two slashes", "DELETE", "users//alice", "", 404, "UNKNOWN", ""},
		{"another method", "PATCH", "users", "", 405, "UNSUPPORTED", ""},
		{"a method that is none", "BREW", "users/alice", "", 405, "UNSUPPORTED", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.fill()
			before := w.state()
			answer := w.ask(tt.method, adminhttp.Prefix+tt.path, tt.body)
			body := strings.TrimSpace(answer.Body.String())
			if answer.Code != tt.status || !strings.Contains(body, tt.answer) {
				t.Errorf("%d %s, want %d with %s", answer.Code, body, tt.status, tt.answer)
			}
			if told := w.heard(); told != tt.told {
				t.Errorf("the audit log is told %q, want %q", told, tt.told)
			}
			if answer.Code >= 300 && w.state() != before {
				t.Errorf("it failed, and changed\n%s to\n%s", before, w.state())
			}
			form(t, answer.Header(), answer.Code, body)
		})
	}
}

// form is what all answers have in common.
func form(t *testing.T, h http.Header, status int, body string) {
	t.Helper()
	if h.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", h)
	}
	if status == http.StatusNoContent {
		if body != "" {
			t.Errorf("nothing, and %s", body)
		}
		return
	}
	if h.Get("Content-Type") != "application/json" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", h)
	}
	var parsed ocierr.Body
	if err := json.Unmarshal([]byte(body), &parsed); err != nil || status >= 400 && (len(parsed.Errors) != 1 || parsed.Errors[0].Message == "") {
		t.Errorf("the answer is %s, %v", body, err)
	}
	if strings.Contains(body, secret) || strings.Contains(body, weak) {
		t.Errorf("a password is told: %s", body)
	}
}

// What has changed is in force when the answer comes.
func TestChangesAreInForce(t *testing.T) {
	w := newWorld(t)
	wantAccess := func(want bool, name, secret string) {
		t.Helper()
		if got := w.verify(name, secret); got != want {
			t.Errorf("%s is let in: %v, want %v", name, got, want)
		}
	}
	w.must("POST", "users", `{"name": "alice", "password": "`+secret+`", "groups": ["team"]}`, nil)
	wantAccess(true, "alice", secret)
	if groups := w.accounts.GroupsOf("alice"); len(groups) != 1 {
		t.Errorf("groups %v", groups)
	}
	w.must("PUT", "users/alice/password", `{"password": "another one of many"}`, nil)
	wantAccess(false, "alice", secret)
	wantAccess(true, "alice", "another one of many")
	w.must("POST", "users/alice/disable", "", nil)
	wantAccess(false, "alice", "another one of many")
	w.must("POST", "users/alice/enable", "", nil)
	wantAccess(true, "alice", "another one of many")
	w.must("DELETE", "users/alice", "", nil)
	wantAccess(false, "alice", "another one of many")

	var first, second struct{ Login, Secret string }
	w.must("POST", "robots", `{"name": "ci", "groups": ["team"]}`, &first)
	wantAccess(true, first.Login, first.Secret)
	w.must("POST", "robots/ci/renew", "", &second)
	wantAccess(false, first.Login, first.Secret)
	wantAccess(true, second.Login, second.Secret)
	w.must("POST", "robots/ci/disable", "", nil)
	wantAccess(false, second.Login, second.Secret)
	w.must("DELETE", "robots/ci", "", nil)
	if info, err := os.Stat(w.folder); err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("the folder has the mode %v, %v", info.Mode(), err)
	}
	if strings.Contains(w.state(), first.Secret) || strings.Contains(w.heard(), first.Secret) {
		t.Error("a robot's secret is kept")
	}
}

// A robot that is renewed lives as long as before, unless told.
func TestRenewal(t *testing.T) {
	soon := time.Now().UTC().Add(48 * time.Hour).Format(time.RFC3339)
	tests := []struct{ name, expires, renewal, want string }{
		{"never expires", "", `{}`, ""},
		{"expires no more", soon, `{"expires": "never"}`, ""},
		{"expires now", "never", `{"expires": "` + soon + `"}`, soon},
		{"as long as before", soon, "", soon},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.must("POST", "robots", `{"name": "ci", "expires": "`+tt.expires+`"}`, nil)
			var renewed admin.Secret
			w.must("POST", "robots/ci/renew", tt.renewal, &renewed)
			want, _ := time.Parse(time.RFC3339, tt.want)
			if off := renewed.Expires.Sub(want); off < -time.Minute || off > time.Minute {
				t.Errorf("it expires %v, want %v", renewed.Expires, want)
			}
		})
	}
}

// A bad file of users is named with its line, and left as it is.
func TestBadFile(t *testing.T) {
	w := newWorld(t)
	w.fill()
	bad := "{\n\"users\": 1}"
	if err := os.WriteFile(w.file("users.json"), []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, request := range [][3]string{{"GET", "users", ""}, {"GET", "robots", ""}, {"GET", "groups", ""}, {"DELETE", "users/alice", ""}, {"PUT", "groups/team/members/bob", ""}} {
		answer := w.ask(request[0], adminhttp.Prefix+request[1], request[2])
		if answer.Code != 409 || !strings.Contains(answer.Body.String(), "BAD_FILE") || !strings.Contains(answer.Body.String(), "line 2") {
			t.Errorf("%v: %d %s", request, answer.Code, answer.Body)
		}
	}
	if raw, err := os.ReadFile(w.file("users.json")); err != nil || string(raw) != bad {
		t.Errorf("the file is %q, %v", raw, err)
	}
}

// What the server has not is not there.
func TestWithoutPorts(t *testing.T) {
	w := newWorld(t)
	w.ports = adminhttp.Ports{}
	for _, path := range []string{"users", "robots", "groups", "policy", "keys", "sessions", "stats", "log-level", "health"} {
		if answer := w.ask("GET", adminhttp.Prefix+path, ""); answer.Code != 404 {
			t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
		}
	}
	if answer := w.ask("POST", adminhttp.Prefix+"reload", ""); answer.Code != 404 {
		t.Errorf("reload: %d %s", answer.Code, answer.Body)
	}
}

// To forget who may would let everybody in.
func TestOptions(t *testing.T) {
	allow := func(*http.Request) error { return nil }
	for _, tt := range []struct {
		name string
		opts adminhttp.Options
		want error
	}{
		{"trusted", adminhttp.Options{Trusted: true}, nil},
		{"asked", adminhttp.Options{Authorize: allow}, nil},
		{"neither", adminhttp.Options{}, adminhttp.ErrOptions},
		{"both", adminhttp.Options{Trusted: true, Authorize: allow}, adminhttp.ErrOptions},
	} {
		if h, err := adminhttp.New(adminhttp.Ports{}, tt.opts); !errors.Is(err, tt.want) || (h == nil) != (err != nil) {
			t.Errorf("%s: %v, %v", tt.name, h, err)
		}
	}
}

// The cause of a fault is for the log, and for the owner.
func TestFaults(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		w := newWorld(t)
		var log strings.Builder
		w.opts.Log = slog.New(slog.NewTextHandler(&log, nil))
		if w.opts.Trusted = trusted; !trusted {
			w.opts.Authorize = func(*http.Request) error { return nil }
		}
		if err := os.WriteFile(w.folder, nil, 0o600); err != nil { // where the folder should be
			t.Fatal(err)
		}
		answer := w.ask("DELETE", adminhttp.Prefix+"users/alice", "")
		id := answer.Header().Get("X-Request-Id")
		if told := strings.Contains(answer.Body.String(), "not a directory"); answer.Code != 500 || told != trusted {
			t.Errorf("trusted %v: %d %s", trusted, answer.Code, answer.Body)
		}
		if id == "" || !strings.Contains(log.String(), id) || !strings.Contains(log.String(), "not a directory") {
			t.Errorf("trusted %v: ID %q, log %s", trusted, id, &log)
		}
	}
}
