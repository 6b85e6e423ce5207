package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/apitest"
)

// begin runs the program in this process. It returns where it listens, and what
// stops it as SIGTERM does.
func begin(t *testing.T) (url string, end func()) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	stdout := os.Stdout
	os.Stdout = w
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := run(ctx, "127.0.0.1:0")
		w.Close()
		done <- err
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	os.Stdout = stdout
	url, found := strings.CutPrefix(line, "serving on ")
	if !found || err != nil {
		t.Fatalf("it says %q, %v", line, err)
	}
	return strings.TrimSpace(url), func() {
		t.Helper()
		stop()
		if err := <-done; err != nil {
			t.Errorf("it ends with %v", err)
		}
	}
}

// seeded is what the program has in its store.
func seeded(t *testing.T) (*catalog, apitest.Fixture, oci.Manifest) {
	t.Helper()
	c, err := seed(t.Context(), cas.New(mem.New(), cas.Distribution))
	if err != nil {
		t.Fatal(err)
	}
	desc, raw, err := c.Manifest(t.Context(), ref.MustName("library/hello"), ref.ByTag(ref.MustTag("latest")))
	if err != nil {
		t.Fatal(err)
	}
	var m oci.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	layer := content(t, c.store, m.Layers[0].Digest)
	return c, apitest.Fixture{Name: "library/hello", Tag: "latest", MediaType: desc.MediaType, Manifest: string(raw), Blob: string(layer)}, m
}

func content(t *testing.T, store *cas.Store, d digest.Digest) []byte {
	t.Helper()
	o, err := store.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	data, err := io.ReadAll(o)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRun(t *testing.T) {
	url, end := begin(t)
	_, fixture, _ := seeded(t)
	apitest.Run(t, url, apitest.Pull(fixture))
	apitest.Run(t, url, apitest.BadPaths())
	apitest.Run(t, url, notYet())
	end()
	if _, err := http.Get(url + "/v2/"); err == nil {
		t.Error("it answers after its end")
	}
}

// notYet are the endpoints that this step has not: all but three.
func notYet() []apitest.Exchange {
	var list []apitest.Exchange
	for e := range endpoint.All() {
		switch e {
		case endpoint.Base, endpoint.PullBlob, endpoint.PullManifest:
			continue
		}
		target := strings.NewReplacer("{name}", "library/hello", "{digest}", digest.FromBytes(nil).String(),
			"{reference}", "latest", "{session}", "00000000-0000-4000-8000-000000000000").Replace(e.Pattern)
		allow := "~" // there, and empty
		if e.Pattern == endpoint.PullBlob.Pattern || e.Pattern == endpoint.PullManifest.Pattern {
			allow = "GET, HEAD"
		}
		list = append(list, apitest.Exchange{Name: e.Name, Reason: "comes with a later step", Method: e.Methods[0], Target: target,
			Status: 405, Code: "UNSUPPORTED", Want: map[string]string{"Allow": allow}})
	}
	return list
}

func TestRunOnATakenPort(t *testing.T) {
	url, end := begin(t)
	defer end()
	var taken *net.OpError
	if err := run(t.Context(), strings.TrimPrefix(url, "http://")); !errors.As(err, &taken) {
		t.Errorf("a second process on the port ends with %v", err)
	}
}

// The README names this digest. Whoever runs the step has the same image.
func TestSeedIsFixed(t *testing.T) {
	_, fixture, _ := seeded(t)
	const want = "sha256:00798eb6056e39f2b1ce6866f758f6ae6cfc3ae7c23582615461011aa99a276e"
	if got := digest.FromBytes([]byte(fixture.Manifest)).String(); got != want {
		t.Errorf("the manifest is %s, want %s: %s", got, want, fixture.Manifest)
	}
}

// What is served is an image as the specification has it, whose parts fit
// together.
func TestSeedIsAnImage(t *testing.T) {
	c, fixture, m := seeded(t)
	for what, raw := range map[string][]byte{"manifest": []byte(fixture.Manifest), "config": content(t, c.store, m.Config.Digest)} {
		if _, faults := oci.Check(raw); len(faults) > 0 {
			t.Errorf("the %s has faults: %v", what, faults)
		}
	}
	var config oci.ImageConfig
	if err := json.Unmarshal(content(t, c.store, m.Config.Digest), &config); err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(strings.NewReader(fixture.Blob))
	if err != nil {
		t.Fatal(err)
	}
	archive, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if got := digest.FromBytes(archive); len(config.RootFS.DiffIDs) != 1 || config.RootFS.DiffIDs[0] != got {
		t.Errorf("the layer is %s when unpacked, and in the config %v", got, config.RootFS.DiffIDs)
	}
	files := tar.NewReader(bytes.NewReader(archive))
	header, err := files.Next()
	if err != nil || header.Name != "hello.txt" {
		t.Fatalf("%+v, %v", header, err)
	}
	if text, err := io.ReadAll(files); err != nil || string(text) != "Hello from a registry you built yourself.\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// The catalog says what it has not got in the words of its port.
func TestCatalogWithoutIt(t *testing.T) {
	c, fixture, m := seeded(t)
	name := ref.MustName("library/hello")
	for what, reference := range map[string]ref.TagOrDigest{
		"a tag that is not there": ref.ByTag(ref.MustTag("absent")),
		"a digest of nothing":     ref.ByDigest(digest.FromBytes([]byte("absent"))),
		"a blob as a manifest":    ref.ByDigest(m.Config.Digest),
	} {
		if _, _, err := c.Manifest(t.Context(), name, reference); !errors.Is(err, bucket.ErrNotExist) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := c.Manifest(t.Context(), ref.MustName("library/other"), ref.ByTag(ref.MustTag("latest"))); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("a tag of another name: %v", err)
	}
	d := digest.FromBytes([]byte(fixture.Manifest))
	if err := c.store.Delete(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Manifest(t.Context(), name, ref.ByDigest(d)); !errors.Is(err, bucket.ErrNotExist) {
		t.Errorf("a manifest that was deleted: %v", err)
	}
}
