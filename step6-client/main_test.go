package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/cmdline"
	"shibafu.dev/step6-client/layout"
	"shibafu.dev/step6-client/registrytest"
)

// machine is where the program runs: with a store of its own.
type machine struct {
	*testing.T
	home string
}

func newMachine(t *testing.T) machine {
	home := t.TempDir()
	t.Setenv("XDG_DATA_HOME", home)
	t.Setenv("DOCKER_CONFIG", home)
	return machine{t, home}
}

// do runs the program, which must end with that code, and returns what it prints.
func (m machine) do(code int, args ...string) string {
	m.Helper()
	return m.with(nil, code, args...)
}

func (m machine) with(in io.Reader, code int, args ...string) string {
	m.Helper()
	var out, progress bytes.Buffer
	err := run(m.Context(), args, streams{in, &out, &progress})
	if got := cmdline.ExitCode(err); got != code {
		m.Fatalf("%q ends with %d, %v, want %d; %s", args, got, err, code, progress.String())
	}
	return out.String()
}

// image makes one in a layout, for two platforms, and returns the digests of the index
// and of what is for linux/amd64.
func (m machine) image(path, name string) (index, amd64 string) {
	m.Helper()
	ctx := m.Context()
	l, err := layout.CreateFolder(ctx, path, nil)
	if err != nil {
		m.Fatal(err)
	}
	defer l.Close()
	blob := func(mediaType, text string) oci.Descriptor {
		d := oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes([]byte(text)), Size: int64(len(text))}
		err := l.PutBlob(ctx, d, func(offset int64) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(text[offset:])), nil
		})
		if err != nil {
			m.Fatal(err)
		}
		return d
	}
	document := func(mediaType string, v any, name string) oci.Descriptor {
		raw, err := json.Marshal(v)
		if err != nil {
			m.Fatal(err)
		}
		d := oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
		if err := l.PutManifest(ctx, d, raw, name); err != nil {
			m.Fatal(err)
		}
		return d
	}
	all := oci.Index{SchemaVersion: 2, MediaType: oci.MediaTypeImageIndex}
	for _, architecture := range []string{"amd64", "arm64"} {
		p := oci.Platform{OS: "linux", Architecture: architecture}
		config := blob(oci.MediaTypeImageConfig, `{"os":"linux","architecture":"`+architecture+`","rootfs":{"type":"layers","diff_ids":[]}}`)
		d := document(oci.MediaTypeImageManifest, oci.Manifest{SchemaVersion: 2, MediaType: oci.MediaTypeImageManifest, Config: config, Layers: []oci.Descriptor{blob(oci.MediaTypeImageLayer, architecture)}}, "")
		d.Platform = &p
		all.Manifests = append(all.Manifests, d)
	}
	return document(all.MediaType, all, name).Digest.String(), all.Manifests[0].Digest.String()
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestProgram(t *testing.T) {
	m, r := newMachine(t), registrytest.New(t)
	made := filepath.Join(m.home, "made")
	index, amd64 := m.image(made, "x")
	app, other := r.Host+"/team/app:v1", r.Host+"/team/other:v2"

	want(t, "copy", m.do(0, "copy", "oci:"+made+":x", app), app+" "+index+"\n")
	want(t, "digest", m.do(0, "digest", app), index+"\n")
	want(t, "digest of one", m.do(0, "digest", app, "--platform", "linux/amd64"), amd64+"\n")
	want(t, "pull", m.do(0, "--platform=linux/amd64", "pull", app), app+" "+amd64+"\n")
	want(t, "pull all", m.do(0, "pull", "--platform", "all", app), app+" "+index+"\n")
	want(t, "copy", m.do(0, "copy", app, other), other+" "+index+"\n")
	want(t, "tags", m.do(0, "tags", r.Host+"/team/other"), "v2\n")

	// It is pushed from the store of this machine to where the registry has lost it.
	empty := registrytest.New(t)
	moved := empty.Host + "/team/app:v1"
	store := filepath.Join(m.home, "shibafu/images")
	m.do(0, "copy", "oci:"+store+":"+app, "oci:"+store+":"+moved)
	want(t, "push", m.do(0, "push", moved), moved+" "+index+"\n")
	want(t, "digest", m.do(0, "digest", "docker://"+moved), index+"\n")

	file := filepath.Join(m.home, "app.tar")
	want(t, "to a file", m.do(0, "copy", app, "docker-archive:"+file), app+" "+index+"\n")
	want(t, "from a file", m.do(0, "copy", "docker-archive:"+file, "oci:"+made+":y"), "y "+index+"\n")
	raw := m.do(0, "copy", app, "docker-archive:-")
	want(t, "from stdin", m.with(strings.NewReader(raw), 0, "copy", "docker-archive:-", "oci:"+made+":z"), "z "+index+"\n")
	want(t, "digest", m.do(0, "digest", "oci:"+made+":z"), index+"\n")
}

func TestExitCodes(t *testing.T) {
	m, r := newMachine(t), registrytest.New(t)
	m.image(filepath.Join(m.home, "made"), "x")
	m.do(0, "copy", "oci:"+m.home+"/made:x", r.Host+"/app:v1")
	for _, row := range []struct {
		code int
		args []string
	}{
		{2, nil},
		{2, []string{"fly"}},
		{2, []string{"pull"}},
		{2, []string{"pull", "a", "b"}},
		{2, []string{"pull", "--fast", "a"}},
		{2, []string{"pull", "a//b"}},
		{2, []string{"pull", r.Host + "/app", "--platform", "x"}},
		{2, []string{"copy", r.Host + "/app:v1", "oci:" + m.home + "/made:../x"}},
		{0, []string{"--help"}},
		{3, []string{"pull", r.Host + "/app:v2"}},
		{3, []string{"pull", r.Host + "/none"}},
		{3, []string{"pull", r.Host + "/app:v1", "--platform", "linux/s390x"}},
		{3, []string{"tags", r.Host + "/none"}},
		{3, []string{"copy", "oci:" + m.home + "/made:none", r.Host + "/app:v3"}},
		{1, []string{"copy", "oci:" + m.home + "/none", r.Host + "/app:v3"}},
		{1, []string{"copy", "docker-archive:" + m.home + "/none", r.Host + "/app:v3"}},
	} {
		m.do(row.code, row.args...)
	}
	m.image(filepath.Join(m.home, "made"), "y")
	m.do(2, "copy", "oci:"+m.home+"/made", "oci:"+m.home+"/out:z")
	// What failed left no file.
	m.do(3, "copy", r.Host+"/app:v2", "docker-archive:"+m.home+"/out.tar")
	if left, err := filepath.Glob(m.home + "/*.tar*"); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// A pull that was cut goes on with what it has.
func TestStopped(t *testing.T) {
	m, r := newMachine(t), registrytest.New(t)
	m.image(filepath.Join(m.home, "made"), "x")
	m.do(0, "copy", "oci:"+m.home+"/made:x", r.Host+"/app:v1")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	err := run(ctx, []string{"pull", r.Host + "/app:v1"}, streams{nil, io.Discard, io.Discard})
	if cmdline.ExitCode(err) != cmdline.ExitFailed {
		t.Errorf("stopped: %v", err)
	}
	m.do(0, "pull", "--platform=all", r.Host+"/app:v1")
}

func TestDefaultStore(t *testing.T) {
	m := newMachine(t)
	if err := run(m.Context(), []string{"--help"}, streams{nil, io.Discard, io.Discard}); cmdline.ExitCode(err) != cmdline.ExitOK {
		t.Error(err)
	}
	if entries, err := os.ReadDir(m.home); err != nil || len(entries) > 0 {
		t.Errorf("asking for help made %v, %v", entries, err)
	}
}

func TestCertificates(t *testing.T) {
	m := newMachine(t)
	m.image(filepath.Join(m.home, "made"), "x")
	server := httptest.NewTLSServer(registrytest.Handler(t))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer server.Close()
	ca := filepath.Join(m.home, "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	app := server.Listener.Addr().String() + "/app:v1"
	m.do(0, "copy", "oci:"+m.home+"/made:x", app, "--ca", ca)
	m.do(0, "digest", app, "--insecure-skip-verify")
	m.do(1, "digest", app)
	m.do(1, "digest", app, "--plain-http")
	m.do(2, "digest", app, "--plain-http", "--ca", ca)
}

func TestDenied(t *testing.T) {
	m := newMachine(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user == "me" && password == "known" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	host := server.Listener.Addr().String()
	m.do(4, "pull", host+"/app")
	config := `{"auths":{"` + host + `":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("me:known")) + `"}}}`
	if err := os.WriteFile(filepath.Join(m.home, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	m.do(3, "pull", host+"/app")
}
