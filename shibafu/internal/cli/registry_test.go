package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step7-security/adminhttp"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/socket"

	"shibafu.dev/shibafu/internal/server"
	"shibafu.dev/shibafu/internal/terminal/terminaltest"
)

// testWords is a password that may be chosen.
const testWords = "correct horse battery"

// kept is a machine with a registry in its home.
type kept struct {
	machine
	root string
}

// eachWay runs the test with no server, and with one: what the commands say is the same.
func eachWay(t *testing.T, test func(t *testing.T, k kept)) {
	t.Run("no server runs", func(t *testing.T) { test(t, newKept(t)) })
	t.Run("a server runs", func(t *testing.T) {
		k := newKept(t)
		k.serve(adminhttp.Ports{})
		test(t, k)
	})
}

func newKept(t *testing.T) kept {
	m := newMachine(t)
	k := kept{m, filepath.Join(m.home, "registry")}
	t.Setenv("SHIBAFU_ROOT", k.root)
	return k
}

// serve answers on the registry's socket as a server does: of its files, and of what a
// server alone has.
func (k kept) serve(own adminhttp.Ports) {
	k.Helper()
	config := server.NewConfig(flag.NewFlagSet("", flag.ContinueOnError))
	config.Root = k.root
	files, err := server.Offline(config)
	if err != nil {
		k.Fatal(err)
	}
	running, err := adminhttp.New(own, adminhttp.Options{Trusted: true})
	if err != nil {
		k.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", files)
	for _, path := range []string{"sessions", "sessions/", "stats", "log-level", "reload", "health"} {
		mux.Handle(adminhttp.Prefix+path, running)
	}
	path, err := config.SocketPath()
	if err != nil {
		k.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		k.Fatal(err)
	}
	ln, err := socket.Listen(path)
	if err != nil {
		k.Fatal(err)
	}
	s := &http.Server{Handler: mux}
	go s.Serve(ln)
	k.Cleanup(func() { s.Close() })
}

// feed runs the program with a text on stdin.
func (k kept) feed(code int, in string, args ...string) (stdout, stderr string) {
	k.Helper()
	return k.with(k.Context(), strings.NewReader(in), code, args...)
}

// verify tells whether a name and a secret would let somebody in.
func (k kept) verify(name, secret string) bool {
	k.Helper()
	a, err := auth.Open(auth.Options{File: filepath.Join(k.root, "shibafu", "users.json")})
	if err != nil {
		k.Fatal(err)
	}
	_, err = a.Verify(k.Context(), name, secret)
	return err == nil
}

func TestUserCommands(t *testing.T) {
	eachWay(t, func(t *testing.T, k kept) {
		k.machine.T = t
		k.prints("", "registry", "user", "ls")
		out, _ := k.feed(0, testWords+"\n", "registry", "user", "add", "alice", "--password-stdin", "--group", "team", "--group", "dev")
		if out != "alice: added\n" {
			t.Errorf("it prints %q", out)
		}
		if !k.verify("alice", testWords) {
			t.Error("alice is not let in")
		}
		out, stderr := k.do(0, "registry", "user", "add", "bob", "--generate")
		if password := strings.TrimSuffix(out, "\n"); !k.verify("bob", password) || stderr != "bob: added; this is shown once:\n" {
			t.Errorf("it prints %q, and says %q", out, stderr)
		}
		for _, tt := range []struct{ name, password, says string }{
			{"alice", testWords, "alice: there is one of this name\n"},
			{"carol", "hunter2", "carol: the password is too weak: 7 characters, want 15 or more"},
			{"robot$x", testWords, "robot$x: not a possible name\n"},
			{"a\x1b[31m", testWords, "a\ufffd[31m: not a possible name\n"},
			{"../users", testWords, "../users: not a possible name\n"},
		} {
			_, stderr := k.feed(1, tt.password, "registry", "user", "add", tt.name, "--password-stdin")
			k.says(stderr, "shibafu registry user add: "+tt.says)
		}
		k.prints("bob: disabled\n", "registry", "user", "disable", "bob")
		k.prints("NAME   GROUPS    STATE\nalice  dev team  enabled\nbob              disabled\n", "registry", "user", "ls")
		k.prints("bob: enabled\nalice: enabled\n", "registry", "user", "enable", "bob", "alice")
		k.feed(0, "another one of many", "registry", "user", "passwd", "alice", "--password-stdin")
		if k.verify("alice", testWords) || !k.verify("alice", "another one of many") {
			t.Error("the password is the one before")
		}
		_, stderr = k.feed(1, testWords, "registry", "user", "passwd", "zoe", "--password-stdin")
		k.says(stderr, "zoe: there is none of this name")
		k.prints("bob: removed\n", "registry", "user", "rm", "bob")
		_, stderr = k.do(1, "registry", "user", "rm", "bob")
		k.says(stderr, "bob: there is none of this name")
		var list []struct {
			Name   string
			Groups []string
		}
		if err := json.Unmarshal([]byte(k.out("registry", "user", "ls", "--json")), &list); err != nil || len(list) != 1 || list[0].Name != "alice" || len(list[0].Groups) != 2 {
			t.Errorf("as JSON: %+v, %v", list, err)
		}
	})
}

func TestPasswordsAreAskedFor(t *testing.T) {
	for _, tt := range []struct {
		name, first, second string
		code                int
	}{
		{"the same twice", testWords, testWords, 0},
		{"not the same", testWords, testWords + "!", 1},
		{"weak", "hunter2", "hunter2", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newKept(t)
			person, program := terminaltest.Open(t, 80, 24)
			done := make(chan int, 1)
			var out strings.Builder
			go func() {
				done <- Run(t.Context(), []string{"registry", "user", "add", "alice"}, Streams{program, &out, program})
			}()
			seen := bufio.NewReader(person)
			until(t, seen, "New password: ")
			person.WriteString(tt.first + "\n")
			if shown := until(t, seen, "The same again: "); strings.Contains(shown, tt.first) {
				t.Errorf("it shows %q", shown)
			}
			person.WriteString(tt.second + "\n")
			if code := <-done; code != tt.code {
				t.Errorf("it ends with %d, want %d", code, tt.code)
			}
			if added := out.String() == "alice: added\n"; added != (tt.code == 0) || added != k.verify("alice", tt.first) {
				t.Errorf("it prints %q", &out)
			}
		})
	}
}

func TestPasswordsCannotBeAskedFor(t *testing.T) {
	k := newKept(t)
	_, stderr := k.do(2, "registry", "user", "add", "alice")
	k.says(stderr, "--password-stdin reads one")
	_, stderr = k.do(2, "registry", "user", "add", "alice", "--generate", "--password-stdin")
	k.says(stderr, "not both")
	_, stderr = k.do(2, "registry", "user", "add", "alice", testWords)
	k.says(stderr, "unexpected argument")
	if _, err := os.Stat(k.root); err == nil {
		t.Error("the registry was made")
	}
}

func TestRobotCommands(t *testing.T) {
	eachWay(t, func(t *testing.T, k kept) {
		k.machine.T = t
		out, stderr := k.do(0, "registry", "robot", "add", "ci", "--expires", "90d", "--note", "builds things", "--group", "team")
		secret := strings.TrimSuffix(out, "\n")
		if !k.verify("robot$ci", secret) {
			t.Errorf("the secret %q does not do", secret)
		}
		day := time.Now().UTC().AddDate(0, 0, 90).Format(time.DateOnly)
		k.says(stderr, "robot$ci: added, expires on "+day)
		k.says(k.out("registry", "robot", "ls"), "robot$ci  team    enabled  "+day)
		k.says(k.out("registry", "robot", "ls", "--json"), `"login": "robot$ci"`)
		out, stderr = k.do(0, "registry", "robot", "renew", "robot$ci")
		k.says(stderr, "robot$ci: has another secret, expires on "+day)
		if k.verify("robot$ci", secret) || !k.verify("robot$ci", strings.TrimSuffix(out, "\n")) {
			t.Error("the secret is the one before")
		}
		_, stderr = k.do(0, "registry", "robot", "renew", "ci", "--expires", "never")
		k.says(stderr, "never expires")
		k.prints("ci: disabled\n", "registry", "robot", "disable", "ci")
		k.says(k.out("registry", "robot", "ls"), "robot$ci  team    disabled  never    never     builds things\n")
		k.prints("ci: enabled\n", "registry", "robot", "enable", "ci")
		k.prints("robot$ci: removed\n", "registry", "robot", "rm", "robot$ci")
		_, stderr = k.do(1, "registry", "robot", "renew", "ci")
		k.says(stderr, "ci: there is none of this name")
		_, stderr = k.do(2, "registry", "robot", "add", "ci", "--expires", "soon")
		k.says(stderr, "want 90d, 12h, 2006-01-02, or never")
	})
}

func TestParseExpiry(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.FixedZone("CET", 3600))
	for _, tt := range []struct{ text, want string }{
		{"never", "never"},
		{"90d", "2026-05-01T11:00:00Z"},
		{"1d", "2026-02-01T11:00:00Z"},
		{"12h", "2026-01-31T23:00:00Z"},
		{"1h30m", "2026-01-31T12:30:00Z"},
		{"2026-12-31", "2026-12-31T00:00:00Z"},
		{"2026-12-31T01:00:00+01:00", "2026-12-31T00:00:00Z"},
		{"0d", ""}, {"-1d", ""}, {"1.5d", ""}, {"99999d", ""}, {"-1h", ""}, {"0s", ""}, {"90", ""}, {"", ""}, {"31.12.2026", ""},
	} {
		got, err := parseExpiry(tt.text, now)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: %q, %v; want %q", tt.text, got, err, tt.want)
		}
	}
}

func TestGroupCommands(t *testing.T) {
	eachWay(t, func(t *testing.T, k kept) {
		k.machine.T = t
		k.prints("team: alice is in it\nteam: oidc$github:acme/app is in it\n", "registry", "group", "add", "team", "alice", "oidc$github:acme/app")
		k.prints("NAME  MEMBERS\nteam  alice oidc$github:acme/app\n", "registry", "group", "ls")
		k.prints("team: alice is in it no more\n", "registry", "group", "rm", "team", "alice")
		_, stderr := k.do(1, "registry", "group", "rm", "team", "alice")
		k.says(stderr, "team: alice: there is none of this name")
		k.prints("team: removed\n", "registry", "group", "rm", "team")
		k.prints("[]\n", "registry", "group", "ls", "--json")
		_, stderr = k.do(2, "registry", "group", "add", "team")
		k.says(stderr, "missing: MEMBER...")
	})
}

const teamRules = `{"rules": [
  {"name": "the team", "subjects": ["group:team"], "repositories": ["team/*"], "actions": ["pull", "push"]},
  {"name": "base", "subjects": ["anonymous"], "repositories": ["base/**"], "actions": ["pull"]}
]}
`

func (k kept) file(name, text string) (path string) {
	k.Helper()
	path = filepath.Join(k.home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		k.Fatal(err)
	}
	return path
}

func TestPolicyCommands(t *testing.T) {
	eachWay(t, func(t *testing.T, k kept) {
		k.machine.T = t
		good, bad := k.file("good.json", teamRules), k.file("bad.json", "{\"rules\":\n [{}]}")
		_, stderr := k.do(0, "registry", "policy", "show")
		k.says(stderr, "there is none")
		k.prints(good+": can be used\n", "registry", "policy", "check", good)
		out, _ := k.do(1, "registry", "policy", "check", bad)
		k.says(out, bad+":2:3: a rule has subjects, repositories and actions\n")
		_, stderr = k.do(1, "registry", "policy", "set", bad)
		k.says(stderr, bad+":2:3: a rule has")
		_, stderr = k.do(1, "registry", "policy", "check", filepath.Join(k.home, "none"))
		k.says(stderr, "no such file")
		k.says(k.out("registry", "policy", "set", good), good+": in force")
		k.prints(teamRules, "registry", "policy", "show")
		out, _ = k.feed(0, `{"rules": []}`, "registry", "policy", "set", "-")
		k.says(out, "-: in force")
		k.prints(`{"rules": []}`, "registry", "policy", "show")
	})
}

func TestPolicyTest(t *testing.T) {
	tests := []struct {
		name, flags string
		code        int
		says        string
	}{
		{"a member", "--user alice --repo team/app --action push", 0, "yes: the team allows it\n"},
		{"no member", "--user bob --repo team/app --action push", 1, "no: no rule allows it\n"},
		{"a robot", "--robot robot$ci --repo team/app --action pull", 0, "yes: the team allows it\n"},
		{"somebody of the group", "--group team --repo team/app --action pull", 0, "yes: the team allows it\n"},
		{"nobody", "--anonymous --repo base/os --action pull", 0, "yes: base allows it\n  policy.json:3:3: base allows it\n"},
		{"nobody, elsewhere", "--anonymous --repo team/app --action pull", 1, "no: no rule allows it\n"},
		{"the registry itself", "--user alice --action admin", 1, "no: no rule allows it\n"},
		{"as JSON", "--user alice --repo team/app --action push --json", 0, `"rule": "the team"`},
		{"other rules", "--user bob --repo x --action pull --file -", 0, "yes: rule 1 allows it\n"},
		{"other rules, of claims", "--oidc x --claim a=b --repo y --action pull --file -", 0, "yes: rule 1 allows it\n"},
	}
	eachWay(t, func(t *testing.T, k kept) {
		k.machine.T = t
		k.do(0, "registry", "group", "add", "team", "alice", "robot$ci")
		k.do(0, "registry", "policy", "set", k.file("rules.json", teamRules))
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				k := kept{machine{t, k.home}, k.root}
				out, stderr := k.feed(tt.code, `{"rules": [{"subjects": ["user:bob", "claim:a=b"], "repositories": ["*"], "actions": ["pull"]}]}`,
					append([]string{"registry", "policy", "test"}, strings.Fields(tt.flags)...)...)
				out = strings.ReplaceAll(out, filepath.Join(k.root, "shibafu")+"/", "")
				if k.says(out, tt.says); stderr != "" {
					t.Errorf("it says %q too", stderr)
				}
			})
		}
		for _, flags := range []string{"", "--user alice --repo a", "--action pull --repo a", "--user a --robot b --repo a --action pull", "--anonymous --user a --repo a --action pull", "--group a --claim b --repo a --action pull"} {
			k.do(2, append([]string{"registry", "policy", "test"}, strings.Fields(flags)...)...)
		}
		_, stderr := k.do(1, "registry", "policy", "test", "--user", "alice", "--repo", "A", "--action", "pull")
		k.says(stderr, "not a possible value: the repository")
	})
}

func TestKeyCommands(t *testing.T) {
	k := newKept(t)
	k.prints("", "registry", "keys", "ls")
	k.feed(0, testWords, "registry", "user", "add", "alice", "--password-stdin")
	k.says(k.out("registry", "keys", "rotate"), ": signs from now on\n")
	lines := strings.Split(k.out("registry", "keys", "ls"), "\n")
	if len(lines) != 4 || !strings.HasSuffix(lines[1], "  signs") || !strings.HasSuffix(lines[2], "  verifies") {
		t.Errorf("keys %q", lines)
	}
}

// oneSession is a server with one open upload.
type oneSession struct{ open bool }

func (o *oneSession) Sessions() []upload.Session {
	if !o.open {
		return nil
	}
	return []upload.Session{{ID: "abc", Repository: ref.MustName("team/app"), Owner: "alice\x1b", Size: 2_500_000, Started: time.Unix(0, 0), Touched: time.Unix(60, 0)}}
}

func (o *oneSession) End(_ context.Context, id string) error {
	if id != "abc" || !o.open {
		return upload.ErrUnknown
	}
	o.open = false
	return nil
}

func TestServerCommands(t *testing.T) {
	k := newKept(t)
	var level slog.LevelVar
	var broken error
	k.serve(adminhttp.Ports{
		Sessions: &oneSession{true}, LogLevel: &level,
		Stats: func() adminhttp.Stats {
			return adminhttp.Stats{Version: "v1.2.3", Started: time.Now().Add(-90 * time.Minute), Authentication: true,
				Stored: &adminhttp.Stored{Blobs: 7, Bytes: 1_500_000, Counted: time.Unix(0, 0)}, Disk: &adminhttp.Disk{Total: 100_000_000_000, Free: 40_000_000_000}}
		},
		Reload: []adminhttp.Reloader{{Name: "users", Reload: func() error { return nil }}, {Name: "policy", Reload: func() error { return broken }}},
		Health: func(context.Context) []adminhttp.Check { return []adminhttp.Check{{Name: "storage", Err: broken}} },
	})
	k.prints("ID   REPOSITORY  SIZE    STARTED               LAST REQUEST          OWNER\n"+
		"abc  team/app    2.5 MB  1970-01-01 00:00 UTC  1970-01-01 00:01 UTC  alice\ufffd\n", "registry", "sessions", "ls")
	k.says(k.out("registry", "sessions", "ls", "--json"), `"repository": "team/app"`)
	k.prints("Version         v1.2.3\nRunning for     1h30m0s\nAsks who comes  yes\nOpen uploads    1\n"+
		"Stored          1.5 MB in 7 blobs, counted 1970-01-01 00:00 UTC\nDisk            40.0 GB free of 100.0 GB\n", "registry", "stats")
	k.says(k.out("registry", "stats", "--json"), `"uptimeSeconds": 5400`)
	k.prints("abc: cancelled\n", "registry", "sessions", "cancel", "abc")
	_, stderr := k.do(1, "registry", "sessions", "cancel", "abc")
	k.says(stderr, "abc: upload: no such session")
	k.prints("info\n", "registry", "log-level")
	k.prints("debug\n", "registry", "log-level", "debug")
	if level.Level() != slog.LevelDebug {
		t.Errorf("the level is %v", level.Level())
	}
	_, stderr = k.do(1, "registry", "log-level", "loud")
	k.says(stderr, "want debug, info, warn or error")
	k.prints("users: read again\npolicy: read again\n", "registry", "reload")
	k.prints("storage: well\n", "registry", "health")
	broken = errors.New("bad\nfile")
	out, _ := k.do(1, "registry", "reload")
	k.says(out, "users: read again\npolicy: bad; file\n")
	out, _ = k.do(1, "registry", "health")
	k.says(out, "storage: bad; file\n")
}

// What only a server knows is not made up where none runs.
func TestNoServer(t *testing.T) {
	k := newKept(t)
	for _, command := range []string{"sessions ls", "sessions cancel x", "stats", "health", "log-level", "log-level debug", "reload"} {
		_, stderr := k.do(1, append([]string{"registry"}, strings.Fields(command)...)...)
		k.says(stderr, "no server runs on "+k.root)
	}
}

// Commands that run at once, with a server that starts meanwhile, lose nothing.
func TestCommandsAtOnce(t *testing.T) {
	k := newKept(t)
	k.feed(0, testWords, "registry", "user", "add", "alice", "--password-stdin")
	const n = 12
	done := make(chan int, n)
	for i := range n {
		if i == n/2 {
			k.serve(adminhttp.Ports{})
		}
		go func() {
			var out, stderr strings.Builder
			done <- Run(t.Context(), []string{"registry", "group", "add", "team", "user" + string(rune('a'+i))}, Streams{nil, &out, &stderr})
		}()
	}
	for range n {
		if code := <-done; code != 0 {
			t.Errorf("one ends with %d", code)
		}
	}
	var groups []struct{ Members []string }
	if err := json.Unmarshal([]byte(k.out("registry", "group", "ls", "--json")), &groups); err != nil || len(groups) != 1 || len(groups[0].Members) != n {
		t.Errorf("groups %+v, %v", groups, err)
	}
}
