package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each setting reaches what it is for, and a client that meets the limit is told
// what operating.md says.
func TestLimits(t *testing.T) {
	const uploads = "/v2/a/blobs/uploads/"
	t.Run("manifest", func(t *testing.T) {
		size := len(image("blob"))
		r := start(t, t.TempDir(), fmt.Sprintf("--limits-manifest=%d", size))
		r.push(t, "a", "v1", "blob")
		r.want(t, 413, `"MANIFEST_INVALID"`, "PUT", "/v2/a/manifests/v2", image("blob")+" ", "Content-Type: "+imageType)
	})
	t.Run("blob", func(t *testing.T) {
		r := start(t, t.TempDir(), "--limits-blob=4")
		r.want(t, 201, "", "POST", uploads+"?digest="+sum("1234"), "1234")
		r.want(t, 413, `"SIZE_INVALID"`, "POST", uploads+"?digest="+sum("12345"), "12345")
		session := r.want(t, 202, "", "POST", uploads, "").Header.Get("Location")
		r.want(t, 413, `"SIZE_INVALID"`, "PATCH", session, "12345")
		r.want(t, 404, `"BLOB_UPLOAD_UNKNOWN"`, "GET", session, "")
	})
	t.Run("sessions in a repository", func(t *testing.T) {
		r := start(t, t.TempDir(), "--limits-repository-sessions=1")
		r.want(t, 202, "", "POST", uploads, "")
		if got := r.want(t, 429, `"TOOMANYREQUESTS"`, "POST", uploads, ""); got.Header.Get("Retry-After") != "10" {
			t.Errorf("Retry-After is %q", got.Header.Get("Retry-After"))
		}
		r.want(t, 202, "", "POST", "/v2/b/blobs/uploads/", "")
	})
	t.Run("sessions in all", func(t *testing.T) {
		r := start(t, t.TempDir(), "--limits-sessions=1")
		r.want(t, 202, "", "POST", uploads, "")
		r.want(t, 429, `"TOOMANYREQUESTS"`, "POST", "/v2/b/blobs/uploads/", "")
	})
	t.Run("idle session", func(t *testing.T) {
		root := t.TempDir()
		first := start(t, root)
		session := first.want(t, 202, "", "POST", uploads, "").Header.Get("Location")
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}
		r := start(t, root, "--limits-session-idle=1ns")
		r.uploads.Expire(t.Context())
		r.want(t, 404, `"BLOB_UPLOAD_UNKNOWN"`, "GET", session, "")
	})
	t.Run("header", func(t *testing.T) {
		r := start(t, t.TempDir(), "--limits-header-bytes=1024")
		r.want(t, 200, "", "GET", "/v2/", "")
		r.want(t, 431, "", "GET", "/v2/", "", "X-Large: "+strings.Repeat("x", 8<<10))
	})
	t.Run("slow header", func(t *testing.T) {
		r := start(t, t.TempDir(), "--limits-header=10ms")
		c := r.dial(t) // and not a word
		if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
			t.Errorf("%q, %v", rest, err)
		}
	})
	t.Run("idle connection", func(t *testing.T) {
		r := start(t, t.TempDir(), "--limits-idle=10ms")
		c := r.dial(t)
		io.WriteString(c, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
		if rest, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(rest), "HTTP/1.1 200 OK\r\n") {
			t.Errorf("%q, %v", rest, err)
		}
	})
	t.Run("slow body", func(t *testing.T) {
		r := start(t, t.TempDir(), "--limits-window=50ms")
		session := r.want(t, 202, "", "POST", uploads, "").Header.Get("Location")
		c := r.dial(t)
		fmt.Fprintf(c, "PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome", session)
		if rest, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(rest), "HTTP/1.1 408 ") || !strings.Contains(string(rest), `"BLOB_UPLOAD_INVALID"`) {
			t.Errorf("%q, %v", rest, err)
		}
		if got := r.want(t, 204, "", "GET", session, ""); got.Header.Get("Range") != "0-3" {
			t.Errorf("what came is not kept: Range is %q", got.Header.Get("Range"))
		}
	})
}

func (r *running) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// slowPatch starts to send a chunk of eight bytes, and returns once a handler
// waits for the last four.
func (r *running) slowPatch(t *testing.T) (c net.Conn, answers *bufio.Reader, session string) {
	t.Helper()
	session = r.want(t, 202, "", "POST", "/v2/a/blobs/uploads/", "").Header.Get("Location")
	c = r.dial(t)
	fmt.Fprintf(c, "PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n", session)
	answers = bufio.NewReader(c)
	if line, err := answers.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	answers.ReadString('\n')
	io.WriteString(c, "1234")
	return c, answers, session
}

// When it is asked to stop, a server takes nothing new and ends what it has begun.
func TestDrain(t *testing.T) {
	root := t.TempDir()
	r := start(t, root)
	c, answers, session := r.slowPatch(t)
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	for refused := false; !refused; { // until it has heard
		late, err := net.Dial("tcp", r.Addr().String())
		if refused = err != nil; !refused {
			late.Close()
		}
	}
	io.WriteString(c, "5678")
	if resp, err := http.ReadResponse(answers, nil); err != nil || resp.StatusCode != 202 || resp.Header.Get("Range") != "0-7" {
		t.Errorf("what was under way: %v, %v", resp, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	again := start(t, root)
	again.want(t, 201, "", "PUT", session+"?digest="+sum("12345678"), "")
}

// A request that takes longer than the drain is cut off; what came is kept.
func TestDrainIsOver(t *testing.T) {
	root := t.TempDir()
	r := start(t, root, "--limits-drain=10ms")
	_, _, session := r.slowPatch(t)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.log.String(), "requests were cut off") {
		t.Errorf("log: %s", r.log)
	}
	again := start(t, root)
	if got := again.want(t, 204, "", "GET", session, ""); got.Header.Get("Range") != "0-3" {
		t.Errorf("Range is %q", got.Header.Get("Range"))
	}
}

// A fault of the server is a fixed text to the client, and its cause a line of the
// log, found by the response's ID; credentials are in neither.
func TestFaultsAreLogged(t *testing.T) {
	root := t.TempDir()
	r := start(t, root)
	r.want(t, 404, "", "GET", "/v2/none/tags/list", "")
	if r.log.String() != "" {
		t.Errorf("the client's own mistakes are logged: %s", r.log)
	}
	for _, folder := range []string{"uploads", "repositories"} {
		if err := os.RemoveAll(filepath.Join(root, folder)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, folder), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const secret = "c2VjcmV0OmNhbmFyeQ"
	got := r.want(t, 500, "", "POST", "/v2/a/blobs/uploads/?token="+secret+"&digest="+sum("x"), "x", "Authorization: Basic "+secret, "Cookie: session="+secret)
	if got.body != `{"errors":[{"code":"INTERNAL_ERROR","message":"internal error"}]}`+"\n" {
		t.Errorf("body %s", got.body)
	}
	id := got.Header.Get("X-Request-Id")
	if log := r.log.String(); id == "" || !strings.Contains(log, "id="+id) || !strings.Contains(log, root) || strings.Contains(log, secret) {
		t.Errorf("ID %q, log: %s", id, log)
	}
	for name, values := range got.Header {
		if strings.Contains(fmt.Sprint(values), root) {
			t.Errorf("%s: %s", name, values)
		}
	}
	os.RemoveAll(filepath.Join(root, "uploads")) // for the server to stop well
}

func TestWarning(t *testing.T) {
	const warning = "there is no authentication: anyone who reaches this address can "
	for _, tt := range []struct {
		name, addr string
		noDelete   bool
		want       string
	}{
		{"loopback", "127.0.0.1:0", false, ""},
		{"loopback by name", "localhost:0", false, ""},
		{"everywhere", ":0", false, "pull, push and delete"},
		{"everywhere, by version 4", "0.0.0.0:0", false, "pull, push and delete"},
		{"everywhere, without deleting", ":0", true, "pull and push"},
	} {
		log := &logged{}
		config := settings(t, t.TempDir())
		config.Addr, config.Delete, config.AllowAnonymousAll = tt.addr, !tt.noDelete, true
		s, err := Open(context.Background(), config, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		got := log.String()
		if tt.want == "" && got != "" || tt.want != "" && !strings.Contains(got, `level=WARN msg="`+warning+tt.want+`" addr=`) {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
}
