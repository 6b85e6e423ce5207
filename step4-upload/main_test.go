package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket/dir"
)

// process is the program, running.
type process struct {
	*testing.T
	url  string
	stop func() // as SIGTERM does
	done chan error
}

func begin(t *testing.T, root string) process {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = w
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		err := run(ctx, "127.0.0.1:0", root)
		w.Close()
		done <- err
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	os.Stdout = stdout
	url, found := strings.CutPrefix(line, "serving "+root+" on ")
	if !found || err != nil {
		t.Fatalf("it says %q, %v", line, err)
	}
	t.Cleanup(func() { r.Close() })
	return process{t, strings.TrimSpace(url), stop, done}
}

func (p process) end() {
	p.Helper()
	p.stop()
	if err := <-p.done; err != nil {
		p.Errorf("it ends with %v", err)
	}
}

func (p process) do(method, target, body string, status int) (*http.Response, string) {
	p.Helper()
	r, err := http.NewRequestWithContext(p.Context(), method, p.url+target, strings.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		p.Errorf("%s %s: %d, %v, want %d: %s", method, target, resp.StatusCode, err, status, got)
	}
	return resp, string(got)
}

// A blob is pushed, half of another one too; the next process has the first, and
// goes on with the second.
func TestRun(t *testing.T) {
	content, root := "hello "+rand.Text(), t.TempDir()
	d := digest.FromBytes([]byte(content)).String()
	const uploads = "/v2/team/app/blobs/uploads/"

	p := begin(t, root)
	p.do("GET", "/v2/", "", http.StatusOK)
	p.do("POST", uploads+"?digest="+d, content, http.StatusCreated)
	resp, _ := p.do("POST", uploads, "", http.StatusAccepted)
	session := resp.Header.Get("Location")
	p.do("PATCH", session, "one ", http.StatusAccepted)
	p.end()

	p = begin(t, root)
	defer p.end()
	if _, got := p.do("GET", "/v2/team/app/blobs/"+d, "", http.StatusOK); got != content {
		t.Errorf("the blob is %q", got)
	}
	p.do("POST", "/v2/team/other/blobs/uploads/?from=team/app&mount="+d, "", http.StatusCreated)
	if resp, _ := p.do("GET", session, "", http.StatusNoContent); resp.Header.Get("Range") != "0-3" {
		t.Errorf("the session is at %s", resp.Header.Get("Range"))
	}
	p.do("PUT", session+"?digest="+digest.FromBytes([]byte("one two")).String(), "two", http.StatusCreated)
	p.do("PUT", "/v2/team/app/manifests/latest", "{}", http.StatusMethodNotAllowed)
}

func TestRunRefuses(t *testing.T) {
	root := t.TempDir()
	p := begin(t, root)
	defer p.end()
	if err := run(t.Context(), "127.0.0.1:0", root); !errors.Is(err, dir.ErrLocked) {
		t.Errorf("a second process on the folder ends with %v", err)
	}
	var taken *net.OpError
	if err := run(t.Context(), strings.TrimPrefix(p.url, "http://"), t.TempDir()); !errors.As(err, &taken) {
		t.Errorf("a second process on the port ends with %v", err)
	}
}
