package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step7-security/auth"
)

// What a client says of proxies is not believed where none is trusted: not where its
// password is to be sent, not where an upload goes on.
func TestHeadersOfProxiesAreClaims(t *testing.T) {
	base := serve(t, options{root: t.TempDir()})
	reg := at(t, base)
	for _, header := range []string{
		"X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-Port: 444", "X-Original-Host: evil.example",
		"Forwarded: host=evil.example;proto=https", "X-Forwarded-Prefix: /evil", "X-Original-Url: /v2/evil/", "X-Rewrite-Url: /v2/evil/",
	} {
		host := strings.TrimPrefix(base, "http://")
		got := reg.answers(http.StatusUnauthorized, "GET", "http://"+host+"/v2/", "", "", header)
		if want := `Bearer realm="` + base + `/token",service="shibafu"`; got.header.Get("WWW-Authenticate") != want {
			t.Errorf("%s: %s, want %s", header, got.header.Get("WWW-Authenticate"), want)
		}
		got = reg.answers(http.StatusAccepted, "POST", "http://"+host+"/v2/app/blobs/uploads/", "alice", "", header)
		if location := got.header.Get("Location"); !strings.HasPrefix(location, "/v2/app/blobs/uploads/") {
			t.Errorf("%s: Location %q", header, location)
		}
	}
}

// Guesses are counted by who is connected, whatever they say.
func TestGuessesUnderManyNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := guarded(t.Context(), t, options{root: t.TempDir()}, io.Discard, "alice")
		answers := make(chan int)
		for i := range 30 {
			go func() {
				answers <- reg.ask("GET", "/v2/", fmt.Sprint("guess", i), "", fmt.Sprint("X-Forwarded-For: 192.0.2.", i)).status
			}()
		}
		tried, refused := 0, 0
		for range 30 {
			switch status := <-answers; status {
			case http.StatusUnauthorized:
				tried++
			case http.StatusTooManyRequests:
				refused++
			default:
				t.Errorf("%d", status)
			}
		}
		// The burst, and one for each second of patience.
		if tried < 10 || tried > 15 || tried+refused != 30 {
			t.Errorf("%d were tried, %d refused", tried, refused)
		}
	})
}

// Nothing redirects anybody, as a client would take its body, or its user, there.
func TestNothingRedirects(t *testing.T) {
	base := serve(t, options{root: t.TempDir()})
	host := strings.TrimPrefix(base, "http://")
	for _, target := range []string{
		"//evil.example", "//evil.example/", "//evil.example/v2/", "/\\evil.example", "/%2f%2fevil.example", "/%5cevil.example", "https:evil.example",
		"/v2//evil.example/", "/v2/../evil.example", "/v2/%2e%2e/evil.example", "/..//evil.example", "/v2", "/v2/_catalog/",
		"/token/", "/token/..//evil.example", "//token", "/token?service=shibafu&redirect_uri=https://evil.example&callback_ui=//evil.example",
		"/token?x=%0d%0aLocation:%20https://evil.example", "/v2/%0d%0aLocation:%20https:%2f%2fevil.example/tags/list", "/metrics/", "//metrics", "/metrics/../metrics",
		"/v2/a//b/tags/list", "/v2/a/./b/tags/list", "/v2/a/b/blobs/uploads", "",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT"} {
			conn, err := net.Dial("tcp", host)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", method, target, host)
			resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
			if err != nil {
				t.Fatalf("%s %q: %v", method, target, err)
			}
			if resp.StatusCode/100 == 3 || resp.Header.Get("Location") != "" || resp.Header.Get("Refresh") != "" {
				t.Errorf("%s %q: %d, Location %q", method, target, resp.StatusCode, resp.Header.Get("Location"))
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// kept is what was written to it.
type kept struct {
	mu   sync.Mutex
	text strings.Builder
}

func (k *kept) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.Write(p)
}

func (k *kept) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.String()
}

// No secret is in the log, in the figures or in what is said to anybody, but a token in
// the answer to who asked for it; nor is one in a file that the registry wrote.
func TestSecretsStaySecret(t *testing.T) {
	root, log := t.TempDir(), &kept{}
	var robot string
	if err := addUser(root, "alice", strings.NewReader("alice's secret\n")); err != nil {
		t.Fatal(err)
	}
	if err := auth.Edit(filepath.Join(own(root), "users.json"), func(d *auth.Directory) (err error) {
		robot, err = d.AddRobot("ci", "", time.Time{})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	reg := guarded(t.Context(), t, options{root: root}, log)
	tokens := reg.issue("alice", "repository:app:pull")
	const canary, form = "canary-4711", "Content-Type: application/x-www-form-urlencoded"
	secrets := []string{"alice's secret", url.QueryEscape("alice's secret"), robot, tokens.Token, tokens.RefreshToken, canary}
	for _, s := range []string{"alice:alice's secret", "eve:" + canary, "robot$ci:" + robot} {
		r := http.Request{Header: http.Header{}}
		name, secret, _ := strings.Cut(s, ":")
		r.SetBasicAuth(name, secret)
		secrets = append(secrets, strings.TrimPrefix(r.Header.Get("Authorization"), "Basic "))
	}

	var said []string
	say := func(a answer) { said = append(said, fmt.Sprint(a.header, a.body)) }
	for e := range endpoint.All() {
		for _, as := range []string{"alice", "Bearer " + tokens.Token, "Bearer " + canary + "." + canary + ".x"} {
			target := pathOf(e, "app", "v1", someDigest, someSession) + "?access_token=" + canary + "&token=" + tokens.Token
			say(reg.ask(e.Methods[0], target, as, canary, "Cookie: "+canary, "Referer: https://x/"+canary, "X-Registry-Auth: "+canary))
		}
	}
	for _, headers := range []string{
		"Authorization: Basic " + canary, "Authorization: " + canary, "Authorization: Bearer " + canary,
		"Authorization: Digest " + canary, "Proxy-Authorization: Basic " + canary,
	} {
		say(reg.ask("GET", "/v2/", "", "", headers))
		say(reg.ask("GET", "/token?password="+canary, "", "", headers))
	}
	for _, body := range []string{
		"grant_type=password&username=eve&password=" + canary, "grant_type=password&username=" + url.QueryEscape("robot$ci") + "&password=" + canary,
		"grant_type=refresh_token&refresh_token=" + canary, "grant_type=" + canary, "grant_type=password&password=a&password=" + canary,
		"grant_type=password&username=oidc&password=" + canary, "scope=" + canary + "&grant_type=password&username=alice&password=" + canary, "%" + canary,
	} {
		say(reg.ask("POST", "/token", "", body, form))
	}
	say(reg.ask("GET", "/metrics", "", "", "Authorization: Basic "+canary))
	for _, s := range secrets {
		if strings.Contains(log.String(), s) {
			t.Errorf("%q is in the log", s)
		}
		for _, answer := range said {
			if strings.Contains(answer, s) {
				t.Errorf("%q is in the answer %s", s, answer)
			}
		}
	}
	if !strings.Contains(log.String(), "identity=alice") {
		t.Errorf("the log knows nothing at all: %s", log)
	}
	if err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, s := range secrets {
			if strings.Contains(string(raw), s) {
				t.Errorf("%q is in %s", s, path)
			}
		}
		info, statErr := d.Info()
		if statErr == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: others may read it: %v", path, info.Mode())
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
