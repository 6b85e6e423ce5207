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
	"strconv"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
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

func (p process) do(method, target, body string, status int) string {
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
	return string(got)
}

func (p process) want(target, body string) {
	p.Helper()
	if got := p.do("GET", target, "", http.StatusOK); got != body {
		p.Errorf("%s is %s; want %s", target, got, body)
	}
}

// An image is pushed, tagged and signed; the next process serves all of it, and
// takes it away.
func TestRun(t *testing.T) {
	const app = "/v2/team/app"
	content, root := "hello "+rand.Text(), t.TempDir()
	d := digest.FromBytes([]byte(content)).String()
	manifest := `{"schemaVersion":2,"config":{"mediaType":"application/x","digest":"` + d + `","size":` + strconv.Itoa(len(content)) + `},"layers":[]}`
	sum := digest.FromBytes([]byte(manifest)).String()
	signature := strings.Replace(manifest, `"layers"`, `"subject":{"mediaType":"`+oci.MediaTypeImageManifest+`","digest":"`+sum+`","size":1},"layers"`, 1)

	p := begin(t, root)
	p.do("POST", app+"/blobs/uploads/?digest="+d, content, http.StatusCreated)
	p.do("PUT", app+"/manifests/v1", manifest, http.StatusCreated)
	p.do("PUT", app+"/manifests/signature", signature, http.StatusCreated)
	p.end()

	p = begin(t, root)
	defer p.end()
	p.want(app+"/manifests/v1", manifest)
	p.want(app+"/manifests/"+sum, manifest)
	p.want(app+"/blobs/"+d, content)
	p.want(app+"/tags/list", `{"name":"team/app","tags":["signature","v1"]}`)
	p.want("/v2/_catalog", `{"repositories":["team/app"]}`)
	if got := p.do("GET", app+"/referrers/"+sum, "", http.StatusOK); !strings.Contains(got, digest.FromBytes([]byte(signature)).String()) {
		t.Errorf("referrers %s", got)
	}
	p.do("DELETE", app+"/manifests/"+sum, "", http.StatusAccepted)
	p.do("GET", app+"/manifests/v1", "", http.StatusNotFound)
	p.do("DELETE", app+"/manifests/signature", "", http.StatusAccepted)
	p.do("DELETE", app+"/blobs/"+d, "", http.StatusAccepted)
	p.want(app+"/tags/list", `{"name":"team/app","tags":[]}`)
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
