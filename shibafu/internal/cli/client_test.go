package cli

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"shibafu.dev/step6-client/layout"
	"shibafu.dev/step6-client/registrytest"

	"shibafu.dev/shibafu/internal/progress"
)

func TestCopies(t *testing.T) {
	m, r := newMachine(t), registrytest.New(t)
	index, amd64 := m.image("x")
	app, other := r.Host+"/team/app:v1", r.Host+"/team/other:v2"
	m.prints(app+" "+index+"\n", "copy", m.made()+":x", app)
	m.prints(index+"\n", "copy", "-q", m.made(), app)
	m.prints(app+" "+amd64+"\n", "--platform=linux/amd64", "pull", app)
	m.says(m.out("images"), app)
	m.says(m.out("images", "--digests"), amd64)
	m.prints(app+" "+index+"\n", "pull", "--all-platforms", app)
	m.prints(other+" "+index+"\n", "copy", app, other)
	m.prints("v1\n", "tags", r.Host+"/team/app")

	// It is pushed from the store of this machine to where the registry has lost it.
	empty := registrytest.New(t)
	moved := empty.Host + "/team/app:v1"
	store := "oci:" + filepath.Join(m.home, "shibafu/images") + ":"
	m.do(0, "copy", store+app, store+moved)
	m.prints(moved+" "+index+"\n", "push", moved)
	m.prints(moved+"@"+index+" "+index+"\n", "push", moved+"@"+index)

	file := filepath.Join(m.home, "app.tar")
	m.prints(app+" "+index+"\n", "copy", app, "docker-archive:"+file)
	raw, _ := m.do(0, "copy", app, "docker-archive:-")
	if out, _ := m.with(t.Context(), strings.NewReader(raw), 0, "copy", "docker-archive:-", m.made()+":z"); out != "z "+index+"\n" {
		t.Errorf("from stdin: %s", out)
	}
}

func TestClientErrors(t *testing.T) {
	m, r := newMachine(t), registrytest.New(t)
	m.image("x")
	app := r.Host + "/app:v1"
	m.do(0, "copy", m.made(), app)
	secured := httptest.NewTLSServer(registrytest.Handler(t))
	defer secured.Close()
	secured.Config.ErrorLog = log.New(io.Discard, "", 0)
	closed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer closed.Close()
	tlsHost, closedHost := secured.Listener.Addr().String(), closed.Listener.Addr().String()
	ca := certificate(t, secured.Certificate().Raw)
	for _, tt := range []struct {
		name string
		args string
		code int
		says string
	}{
		{"no argument", "pull", 2, "missing: IMAGE\nshibafu pull --help lists the flags.\n"},
		{"no target", "copy a", 2, "missing: TARGET\n"},
		{"too many", "pull a b", 2, "unexpected argument: b\n"},
		{"no such flag", "pull --fast a", 2, "flag provided but not defined: -fast\n"},
		{"no reference", "pull a//b", 2, "invalid reference"},
		{"no platform", "pull --platform x " + app, 2, `platform "x": want os/architecture[/variant]`},
		{"none at once", "pull --parallel 0 " + app, 2, "--parallel: want more than 0"},
		{"no such mode", "pull --progress loud " + app, 2, "want auto, bars, plain, json, none"},
		{"two ways", "pull --plain-http --ca x " + app, 2, "--plain-http has no certificates to look at"},
		{"no tag", "pull " + r.Host + "/app:v2", 3, "\nshibafu tags " + r.Host + "/app lists the tags that there are.\n"},
		{"no repository", "pull " + r.Host + "/none", 3, "404 NAME_UNKNOWN"},
		{"not for it", "pull --platform linux/s390x " + app, 3, "--platform names another one.\n"},
		{"not here", "push " + app, 3, "\nshibafu pull " + app + " fetches it, shibafu images lists what is here.\n"},
		{"no digest here", "inspect sha256:" + strings.Repeat("ab", 32), 3, "\nshibafu images lists what is here.\n"},
		{"not let in", "pull " + closedHost + "/app", 4, "\nshibafu login " + closedHost + " keeps a name and password for it.\n"},
		{"http, not https", "pull --insecure-skip-verify " + app, 1, "\nIt speaks http: --plain-http does so too.\n"},
		{"a certificate unknown", "pull " + tlsHost + "/app --ca " + otherCA(t), 1, "\n--ca FILE trusts the authority whose certificate is in the file.\n"},
		{"a certificate known", "pull " + tlsHost + "/app --ca " + ca, 3, "404 NAME_UNKNOWN"},
		{"what a terminal would obey", "pull \x1b[2J", 2, "\ufffd[2J"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := machine{t, m.home}
			_, stderr := m.do(tt.code, strings.Split(tt.args, " ")...)
			m.says(stderr, tt.says)
			if strings.Contains(stderr, "\x1b") {
				t.Errorf("%q", stderr)
			}
		})
	}
}

// otherCA is a file with a certificate that has signed nothing.
func otherCA(t *testing.T) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	raw, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return certificate(t, raw)
}

// certificate is a file with a certificate.
func certificate(t *testing.T, raw []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A pull that was stopped says how it goes on, and does: the bytes that came are not
// asked for again.
func TestStopped(t *testing.T) {
	m := newMachine(t)
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var ranges []string
	handler := registrytest.Handler(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			mu.Lock()
			ranges = append(ranges, r.Header.Get("Range"))
			mu.Unlock()
		}
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	app := server.Listener.Addr().String() + "/app:v1"
	folder := m.folder("big", "")
	raw := make([]byte, 6<<20)
	rand.NewChaCha8([32]byte{}).Read(raw)
	if err := os.WriteFile(filepath.Join(folder, "file"), raw, 0o644); err != nil {
		t.Fatal(err)
	}
	m.do(0, "layer", "add", "big", folder)
	m.do(0, "push", app, "--layers", "big")
	elsewhere := []string{"pull", app, "--store", filepath.Join(m.home, "other"), "--parallel", "1", "--platform", "all", "--progress", "json"}
	said := &stopping{stop: stop}
	if code := Run(ctx, elsewhere, Streams{nil, io.Discard, said}); code != 1 {
		t.Errorf("it ends with %d", code)
	}
	m.says(said.String(), "shibafu pull: interrupted\nWhat came is kept: the same command goes on with it.\n")
	mu.Lock()
	ranges = nil
	mu.Unlock()
	m.do(0, elsewhere...)
	mu.Lock()
	defer mu.Unlock()
	if len(ranges) == 0 || slices.ContainsFunc(ranges, func(s string) bool { return s == "" || strings.HasPrefix(s, "bytes=0-") }) {
		t.Errorf("then it asked for %q", ranges)
	}
}

// stopping stops what it is told of, once some of a large blob has come.
type stopping struct {
	strings.Builder
	stop func()
}

func (s *stopping) Write(p []byte) (int, error) {
	var line progress.Line
	if json.Unmarshal(p, &line) == nil && line.Event == "moved" && line.Size > 1<<20 {
		s.stop()
	}
	return s.Builder.Write(p)
}

// A registry may say anything; a terminal gets to see text.
func TestHostileRegistry(t *testing.T) {
	m := newMachine(t)
	const evil = `\u001b[2J\u009b\nroot`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/tags/list") {
			io.WriteString(w, `{"name":"app","tags":["v1","`+evil+`","../v2"]}`)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"errors":[{"code":"DENIED","message":"`+evil+`","detail":"`+evil+`"}]}`)
	}))
	defer server.Close()
	host := server.Listener.Addr().String()
	m.prints("v1\n", "tags", host+"/app")
	_, stderr := m.do(4, "pull", host+"/app")
	if strings.ContainsAny(stderr, "\x1b\u009b") || strings.Contains(stderr, "\nroot") {
		t.Errorf("%q", stderr)
	}
}

// An image that cannot be read is listed all the same, and can be removed.
func TestDamaged(t *testing.T) {
	m, r := newMachine(t), registrytest.New(t)
	m.do(0, "layer", "add", "base", m.folder("base", "base"))
	app := r.Host + "/app:v1"
	digest := strings.TrimSpace(m.out("push", app, "-q", "--layers", "base"))
	blob := filepath.Join(m.home, "shibafu/images/blobs/sha256", strings.TrimPrefix(digest, "sha256:"))
	if err := os.WriteFile(blob, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, stderr := m.do(0, "images")
	m.says(out, app)
	m.says(stderr, app+": ")
	m.do(0, "rm", app)
}

// Two at once in one store: the second waits, and says so.
func TestWaiting(t *testing.T) {
	m, r := newMachine(t), registrytest.New(t)
	m.image("x")
	m.do(0, "copy", m.made(), r.Host+"/app:v1")
	held, err := layout.CreateFolder(t.Context(), filepath.Join(m.home, "shibafu/images"), nil)
	if err != nil {
		t.Fatal(err)
	}
	said, writer := net.Pipe()
	done := make(chan int)
	go func() {
		done <- Run(t.Context(), []string{"pull", "--platform=all", r.Host + "/app:v1"}, Streams{nil, io.Discard, writer})
		writer.Close()
	}()
	line := make([]byte, 200)
	n, err := said.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	m.says(string(line[:n]), "waiting: ")
	go io.Copy(io.Discard, said)
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != 0 {
		t.Errorf("it ends with %d", code)
	}
}
