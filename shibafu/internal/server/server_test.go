package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step3-api/apitest"
)

// running is a server under test.
type running struct {
	*Server
	base string
	log  *logged
	stop func() error // asks it to stop, and waits until it has
}

// logged is a log to look at while it is being written.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// settings are the flags that every server under test has, and more.
func settings(t *testing.T, root string, flags ...string) *Config {
	t.Helper()
	set := flag.NewFlagSet("test", flag.ContinueOnError)
	c := NewConfig(set)
	if err := set.Parse(append([]string{"--port=0", "--root=" + root}, flags...)); err != nil {
		t.Fatal(err)
	}
	if err := c.Settle(set, lookup(nil)); err != nil {
		t.Fatal(err)
	}
	return c
}

// start serves root until the test ends or stops it.
func start(t *testing.T, root string, flags ...string) *running {
	t.Helper()
	log := &logged{}
	s, err := Open(t.Context(), settings(t, root, flags...), slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-served, s.Close())
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return &running{s, s.URL(), log, stop}
}

func (r *running) port() string { return r.base[strings.LastIndexByte(r.base, ':')+1:] }

// answer is a response, read to its end.
type answer struct {
	*http.Response
	body string
}

// ask makes one request; header lines are "Name: value".
func (r *running) ask(t *testing.T, method, target, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.base+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, string(read)}
}

// want asks, and fails the test unless the answer has this status and, for an
// error, this code.
func (r *running) want(t *testing.T, status int, code, method, target, body string, header ...string) answer {
	t.Helper()
	got := r.ask(t, method, target, body, header...)
	if got.StatusCode != status || !strings.Contains(got.body, code) {
		t.Fatalf("%s %s: %d %s, want %d %s", method, target, got.StatusCode, got.body, status, code)
	}
	return got
}

func sum(content string) string { return digest.FromBytes([]byte(content)).String() }

// image is a manifest of one blob.
func image(blob string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"text/plain","config":{"mediaType":"text/plain","digest":%q,"size":%d},"layers":[]}`,
		imageType, sum(blob), len(blob))
}

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
)

// index is one of a single manifest.
func index(manifest string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, indexType, imageType, sum(manifest), len(manifest))
}

// push puts a blob and a manifest of it under a tag.
func (r *running) push(t *testing.T, name, tag, blob string) {
	t.Helper()
	r.want(t, 201, "", "POST", "/v2/"+name+"/blobs/uploads/?digest="+sum(blob), blob)
	r.want(t, 201, "", "PUT", "/v2/"+name+"/manifests/"+tag, image(blob), "Content-Type: "+imageType)
}

// tree has the sum of each file below root.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Type() == fs.ModeSocket {
			return err
		}
		raw, err := os.ReadFile(path)
		files[path] = fmt.Sprintf("%x", sha256.Sum256(raw))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestRegistry(t *testing.T) {
	root := t.TempDir()
	apitest.Registry(t, start(t, root).base)
	if summary, err := Check(t.Context(), settings(t, root), false, func(fault string, _ bool) { t.Error(fault) }); err != nil {
		t.Error(summary, err)
	}
}

func TestDeleteIsOff(t *testing.T) {
	root := t.TempDir()
	full := start(t, root)
	full.push(t, "a/b", "v1", "blob")
	if err := full.stop(); err != nil {
		t.Fatal(err)
	}
	r := start(t, root, "--delete=false")
	before := tree(t, root)
	for _, tt := range []struct{ name, target, allow string }{
		{"tag", "/v2/a/b/manifests/v1", "GET, HEAD, PUT"},
		{"manifest", "/v2/a/b/manifests/" + sum(image("blob")), "GET, HEAD, PUT"},
		{"blob", "/v2/a/b/blobs/" + sum("blob"), "GET, HEAD"},
		{"what is not there", "/v2/none/manifests/v1", "GET, HEAD, PUT"},
	} {
		got := r.want(t, 405, `"UNSUPPORTED"`, "DELETE", tt.target, "")
		if got.Header.Get("Allow") != tt.allow {
			t.Errorf("%s: Allow is %q, want %q", tt.name, got.Header.Get("Allow"), tt.allow)
		}
	}
	if after := tree(t, root); !maps.Equal(before, after) {
		t.Errorf("the store was\n%v\nand is\n%v", before, after)
	}
	upload := r.want(t, 202, "", "POST", "/v2/a/b/blobs/uploads/", "")
	r.want(t, 204, "", "DELETE", upload.Header.Get("Location"), "") // an upload is the client's own
}

func TestPublicURL(t *testing.T) {
	const public = "https://registry.example/prefix"
	r := start(t, t.TempDir(), "--public-url", public+"/")
	blob, manifest := "/v2/a/blobs/"+sum("blob"), "/v2/a/manifests/"+sum(image("blob"))
	location := func(what string, got answer, want string) string {
		t.Helper()
		path, ok := strings.CutPrefix(got.Header.Get("Location"), public)
		if !ok || want != "" && path != want {
			t.Errorf("%s: Location is %q", what, got.Header.Get("Location"))
		}
		return path
	}
	session := location("start", r.want(t, 202, "", "POST", "/v2/a/blobs/uploads/", "", "Host: other.example", "X-Forwarded-Host: evil.example"), "")
	location("status", r.want(t, 204, "", "GET", session, ""), session)
	location("chunk", r.want(t, 202, "", "PATCH", session, "blob"), session)
	location("chunk out of order", r.want(t, 416, "", "PATCH", session, "x", "Content-Range: 9-9"), session)
	location("finish", r.want(t, 201, "", "PUT", session+"?digest="+sum("blob"), ""), blob)
	location("single POST", r.want(t, 201, "", "POST", "/v2/a/blobs/uploads/?digest="+sum("blob"), "blob"), blob)
	location("mount", r.want(t, 201, "", "POST", "/v2/b/blobs/uploads/?mount="+sum("blob")+"&from=a", ""), strings.Replace(blob, "/a/", "/b/", 1))
	location("manifest", r.want(t, 201, "", "PUT", "/v2/a/manifests/v1", image("blob"), "Content-Type: "+imageType), manifest)
	r.want(t, 201, "", "PUT", "/v2/a/manifests/v2", image("blob"), "Content-Type: "+imageType)
	link := r.want(t, 200, "v1", "GET", "/v2/a/tags/list?n=1", "").Header.Get("Link")
	if link != "<"+public+`/v2/a/tags/list?last=v1&n=1>; rel="next"` {
		t.Errorf("Link is %q", link)
	}
}

func TestMissingPolicies(t *testing.T) {
	for _, tt := range []struct {
		policy       string
		image, index int
	}{{"reject", 400, 400}, {"index", 400, 201}, {"allow", 201, 201}} {
		r := start(t, t.TempDir(), "--missing", tt.policy)
		code := map[int]string{400: `"MANIFEST_BLOB_UNKNOWN"`, 201: ""}
		r.want(t, tt.image, code[tt.image], "PUT", "/v2/a/manifests/image", image("absent"), "Content-Type: "+imageType)
		r.want(t, tt.index, code[tt.index], "PUT", "/v2/a/manifests/index", index("absent"), "Content-Type: "+indexType)
	}
}

func TestOneServerARoot(t *testing.T) {
	root := t.TempDir()
	start(t, root)
	_, err := Open(t.Context(), settings(t, root), slog.New(slog.DiscardHandler))
	if !errors.Is(err, dir.ErrLocked) || !strings.HasSuffix(err.Error(), fmt.Sprintf("%s is held by process %d", root, os.Getpid())) {
		t.Errorf("second server: %v", err)
	}
}

// A port that is taken must not leave the store locked.
func TestOpenFailsWhole(t *testing.T) {
	taken := start(t, t.TempDir())
	root := t.TempDir()
	if _, err := Open(t.Context(), settings(t, root, "--port", taken.port()), slog.New(slog.DiscardHandler)); err == nil {
		t.Fatal("the port was given twice")
	}
	start(t, root)
}

func TestFolderOfDockerRegistry(t *testing.T) {
	root := t.TempDir()
	theirs := filepath.Join(root, "docker", "registry", "v2")
	first := start(t, theirs)
	first.push(t, "a", "v1", "blob")
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	r := start(t, root)
	if r.Root() != theirs {
		t.Errorf("data in %s", r.Root())
	}
	r.want(t, 200, "blob", "GET", "/v2/a/blobs/"+sum("blob"), "")
	r.push(t, "a", "v2", "another")
	if entries, err := os.ReadDir(root); err != nil || len(entries) != 1 {
		t.Errorf("beside their folder: %v, %v", entries, err)
	}
	if summary, err := Check(t.Context(), settings(t, root), false, func(fault string, _ bool) { t.Error(fault) }); summary != "4 blobs read, 0 faults" {
		t.Errorf("%s, %v", summary, err)
	}
}

func TestRootIsAbsolute(t *testing.T) {
	t.Chdir(t.TempDir())
	if r := start(t, "data"); !filepath.IsAbs(r.Root()) {
		t.Errorf("data in %s", r.Root())
	}
}
