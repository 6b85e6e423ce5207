package cli

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// What is said to a server that runs counts at once, and is what it does.
func TestLookAfterAServer(t *testing.T) {
	k := newKept(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, stderr := listening{make(chan string, 1)}, &bytes.Buffer{}
	exited := make(chan int, 1)
	go func() {
		exited <- Run(ctx, []string{"registry", "serve", "--port", "0", "--root", k.root}, Streams{nil, out, stderr})
	}()
	var addr string
	select {
	case line := <-out.line:
		fmt.Sscanf(line, "shibafu: serving on %s", &addr)
		addr = strings.TrimSuffix(addr, ",")
	case code := <-exited:
		t.Fatalf("it ends with %d: %s", code, stderr)
	}
	answers := func(method, path, user string, want int) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, method, addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			r.SetBasicAuth(user, testWords)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s %s by %q: %d, want %d", method, path, user, resp.StatusCode, want)
		}
	}
	answers("POST", "/v2/team/app/blobs/uploads/", "", 202)
	k.says(k.out("registry", "stats"), "Asks who comes  no: all may do all\nOpen uploads    1\n")
	id, _, _ := strings.Cut(strings.Split(k.out("registry", "sessions", "ls"), "\n")[1], " ")
	k.prints(id+": cancelled\n", "registry", "sessions", "cancel", id)
	k.feed(0, testWords, "registry", "user", "add", "alice", "--password-stdin")
	answers("GET", "/v2/", "", 401)
	answers("GET", "/token?service=shibafu", "alice", 200)
	k.prints("alice: disabled\n", "registry", "user", "disable", "alice")
	answers("GET", "/v2/", "alice", 401)
	k.prints("alice: enabled\n", "registry", "user", "enable", "alice")
	k.says(k.out("registry", "policy", "set", k.file("rules.json", teamRules)), "rules.json: in force\n")
	answers("GET", "/v2/_catalog", "alice", 403)
	k.says(k.out("registry", "keys", "rotate"), "signs from now on")
	k.says(k.out("registry", "reload"), "users and rules: read again\n")
	k.says(k.out("registry", "health"), "storage: well\n")
	k.prints("debug\n", "registry", "log-level", "debug")
	stop()
	if code := <-exited; code != 0 {
		t.Errorf("it ends with %d: %s", code, stderr)
	}
	_, said := k.do(1, "registry", "stats")
	k.says(said, "no server runs on")
}
