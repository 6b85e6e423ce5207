package cli

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"shibafu.dev/shibafu/internal/terminal/terminaltest"
)

// guarded is a registry that lets in alice, whose password is known.
func guarded(t *testing.T) (host string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user == "alice" && password == "known" {
			if r.URL.Path != "/v2/" {
				w.WriteHeader(http.StatusNotFound)
			}
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestLogin(t *testing.T) {
	m, host := newMachine(t), guarded(t)
	login := func(code int, password string, args ...string) (string, string) {
		t.Helper()
		return m.with(t.Context(), strings.NewReader(password), code, append([]string{"login", host, "--password-stdin"}, args...)...)
	}
	login(2, "known")
	login(2, "", "-u", "alice")
	_, stderr := login(4, "wrong\n", "-u", "alice")
	m.says(stderr, "\nThe name or the password is not right")
	if _, err := os.Stat(filepath.Join(m.home, "config.json")); err == nil {
		t.Error("a wrong password was kept")
	}
	m.do(4, "pull", host+"/app")
	out, stderr := login(0, "known\n", "--username", "alice")
	if out != host+": logged in as alice\n" {
		t.Errorf("it prints %q", out)
	}
	m.says(stderr, "kept in "+m.home+"/config.json, which is not encrypted")
	m.do(3, "pull", host+"/app")
	m.prints(host+": logged out\n", "logout", "http://"+host+"/")
	m.do(1, "logout", host)
	m.do(4, "pull", host+"/app")
	_, stderr = m.do(2, "login", host)
	m.says(stderr, "--password-stdin reads one")
}

// A program of another's keeps it, and nothing is said of a file.
func TestLoginHelper(t *testing.T) {
	m, host := newMachine(t), guarded(t)
	script := "#!/bin/sh\ncat >>" + m.home + "/$1\n"
	for name, text := range map[string]string{"docker-credential-fake": script, "config.json": `{"credsStore":"fake"}`} {
		if err := os.WriteFile(filepath.Join(m.home, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", m.home+":"+os.Getenv("PATH"))
	_, stderr := m.with(t.Context(), strings.NewReader("known"), 0, "login", host, "-u", "alice", "--password-stdin")
	m.says(stderr, "kept in docker-credential-fake\n")
	m.prints(host+": logged out\n", "logout", host)
}

func TestLoginAsks(t *testing.T) {
	m, host := newMachine(t), guarded(t)
	person, program := terminaltest.Open(t, 80, 24)
	var out strings.Builder
	done := make(chan int, 1)
	go func() {
		done <- Run(t.Context(), []string{"login", host}, Streams{program, &out, program})
	}()
	seen := bufio.NewReader(person)
	until(t, seen, "Username: ")
	person.WriteString("alice\n")
	until(t, seen, "Password: ")
	person.WriteString("known\n")
	if code := <-done; code != 0 {
		t.Fatalf("it ends with %d", code)
	}
	if shown := until(t, seen, "kept in "); strings.Contains(shown, "known") {
		t.Errorf("it shows %q", shown)
	}
	m.says(out.String(), "logged in as alice")
}

// Who does not answer can stop it, and the terminal shows again what is typed.
func TestLoginStopped(t *testing.T) {
	newMachine(t)
	person, program := terminaltest.Open(t, 80, 24)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		done <- Run(ctx, []string{"login", "localhost:1", "-u", "alice"}, Streams{program, program, program})
	}()
	seen := bufio.NewReader(person)
	until(t, seen, "Password: ")
	stop()
	if code := <-done; code != 1 {
		t.Errorf("it ends with %d", code)
	}
	person.WriteString("shown\n")
	until(t, seen, "shown")
}

// until reads as far as a text, and returns what came before it.
func until(t *testing.T, r *bufio.Reader, text string) (before string) {
	t.Helper()
	for !strings.HasSuffix(before, text) {
		c, err := r.ReadByte()
		if err != nil {
			t.Fatalf("%q, %v", before, err)
		}
		before += string(c)
	}
	return strings.TrimSuffix(before, text)
}

func TestVersion(t *testing.T) {
	m := newMachine(t)
	out := m.out("version")
	m.prints(out, "--version")
	info := &debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"},
		{Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "amd64"},
	}}
	const want = "shibafu v1.2.3 commit 0123456789ab of 2026-01-02T03:04:05Z, changed since go1.26 linux/amd64"
	if got := versionOf(info); got != want {
		t.Errorf("%s", got)
	}
}
