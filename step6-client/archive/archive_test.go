package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/archive"
	"shibafu.dev/step6-client/layout"
)

// file is one of a tar.
type file struct {
	name, text string
	kind       byte
	link       string
}

func tarOf(t *testing.T, files ...file) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Size: int64(len(f.text)), Mode: 0o644, Typeflag: tar.TypeReg, Linkname: f.link}
		if f.kind != 0 {
			h.Typeflag = f.kind
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func open(raw []byte) (*archive.Reader, error) {
	return archive.NewReader(bytes.NewReader(raw), int64(len(raw)))
}

func mustOpen(t *testing.T, raw []byte) *archive.Reader {
	t.Helper()
	r, err := open(raw)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func describe(mediaType, text string) oci.Descriptor {
	return oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes([]byte(text)), Size: int64(len(text))}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// old is what docker saved before version 25: a layer that is there twice, by a link,
// and one that is compressed.
func old(t *testing.T) []file {
	config := jsonOf(t, oci.ImageConfig{RootFS: oci.RootFS{Type: "layers", DiffIDs: []digest.Digest{
		digest.FromBytes([]byte("base")), digest.FromBytes([]byte("base")), digest.FromBytes([]byte("top")),
	}}})
	return []file{
		{name: "aa/", kind: tar.TypeDir},
		{name: "aa/layer.tar", text: "base"},
		{name: "bb/layer.tar", kind: tar.TypeSymlink, link: "../aa/layer.tar"},
		{name: "cc/layer.tar", text: gzipped(t, "top")},
		{name: "config.json", text: config},
		{name: "manifest.json", text: `[{"Config":"config.json","RepoTags":["team/app:1","alpine:3"],"Layers":["aa/layer.tar","bb/layer.tar","cc/layer.tar"]}]`},
	}
}

func TestOldArchives(t *testing.T) {
	r := mustOpen(t, tarOf(t, old(t)...))
	for _, name := range []string{"team/app:1", "docker.io/team/app:1", "alpine:3", "docker.io/library/alpine:3", ""} {
		d, err := r.Resolve(t.Context(), name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		raw, err := r.Manifest(t.Context(), d)
		if err != nil || digest.FromBytes(raw) != d.Digest {
			t.Fatalf("manifest: %v", err)
		}
		var m oci.Manifest
		if err := json.Unmarshal(raw, &m); err != nil || len(m.Layers) != 3 {
			t.Fatalf("%s, %v", raw, err)
		}
		for i, want := range []oci.Descriptor{
			describe(oci.MediaTypeImageLayer, "base"), describe(oci.MediaTypeImageLayer, "base"), describe(oci.MediaTypeImageLayerGzip, gzipped(t, "top")),
		} {
			if got := m.Layers[i]; got.Digest != want.Digest || got.MediaType != want.MediaType || got.Size != want.Size {
				t.Errorf("layer %d is %+v, want %+v", i, got, want)
			}
			read(t, r, m.Layers[i])
		}
		read(t, r, m.Config)
	}
	if _, err := r.Resolve(t.Context(), "team/app:2"); !errors.Is(err, layout.ErrUnknown) {
		t.Errorf("another tag: %v", err)
	}
}

func read(t *testing.T, r *archive.Reader, d oci.Descriptor) {
	t.Helper()
	blob, err := r.OpenBlob(t.Context(), d)
	if err != nil {
		t.Error(err)
		return
	}
	if raw, err := io.ReadAll(blob); err != nil || int64(len(raw)) != d.Size {
		t.Errorf("%s: %d bytes, %v", d.Digest, len(raw), err)
	}
}

// What docker save makes since version 25: a layout whose names are in an annotation
// of containerd's, and the tag alone in that of the OCI.
func TestNewArchives(t *testing.T) {
	m := jsonOf(t, oci.Manifest{SchemaVersion: 2, MediaType: oci.MediaTypeImageManifest, Config: describe(oci.MediaTypeEmptyJSON, "{}")})
	d := describe(oci.MediaTypeImageManifest, m)
	d.Annotations = map[string]string{"io.containerd.image.name": "docker.io/library/alpine:3", layout.RefName: "3"}
	blob := func(text string) file {
		return file{name: "blobs/sha256/" + digest.FromBytes([]byte(text)).Hex(), text: text}
	}
	r := mustOpen(t, tarOf(t,
		file{name: "blobs/", kind: tar.TypeDir}, blob(m), blob("{}"),
		file{name: "index.json", text: jsonOf(t, oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{d}})},
		file{name: "manifest.json", text: "[]"},
		file{name: "oci-layout", text: `{"imageLayoutVersion":"1.0.0"}`},
	))
	for _, name := range []string{"alpine:3", "docker.io/library/alpine:3", ""} {
		if got, err := r.Resolve(t.Context(), name); err != nil || got.Digest != d.Digest {
			t.Errorf("%q: %v, %v", name, got.Digest, err)
		}
	}
	if raw, err := r.Manifest(t.Context(), d); err != nil || string(raw) != m {
		t.Errorf("manifest %s, %v", raw, err)
	}
	read(t, r, describe("", "{}"))
}

func TestHostileArchives(t *testing.T) {
	replace := func(name string, with ...file) []file {
		var files []file
		for _, f := range old(t) {
			if f.name == name {
				files = append(files, with...)
			} else {
				files = append(files, f)
			}
		}
		return files
	}
	manifest := func(text string) []file { return replace("manifest.json", file{name: "manifest.json", text: text}) }
	whole := tarOf(t, old(t)...)
	for _, row := range []struct {
		name string
		raw  []byte
	}{
		{"no tar", []byte(strings.Repeat("x", 2048))},
		{"nothing", nil},
		{"cut within a file", whole[:600]},
		{"no list", tarOf(t, replace("manifest.json")...)},
		{"a name that leads out", tarOf(t, append(old(t), file{name: "../x"})...)},
		{"a name from the root", tarOf(t, append(old(t), file{name: "/etc/x"})...)},
		{"one name twice", tarOf(t, append(old(t), file{name: "config.json"})...)},
		{"one name twice, in other words", tarOf(t, append(old(t), file{name: "./config.json"})...)},
		{"a device", tarOf(t, append(old(t), file{name: "x", kind: tar.TypeChar})...)},
		{"a pipe", tarOf(t, append(old(t), file{name: "x", kind: tar.TypeFifo})...)},
		{"a link that leads out", tarOf(t, replace("bb/layer.tar", file{name: "bb/layer.tar", kind: tar.TypeSymlink, link: "../../etc/passwd"})...)},
		{"a link from the root", tarOf(t, replace("bb/layer.tar", file{name: "bb/layer.tar", kind: tar.TypeLink, link: "/etc/passwd"})...)},
		{"links in a circle", tarOf(t, replace("bb/layer.tar", file{name: "bb/layer.tar", kind: tar.TypeSymlink, link: "layer.tar"})...)},
		{"a layer less than the config has", tarOf(t, manifest(`[{"Config":"config.json","Layers":["aa/layer.tar"]}]`)...)},
		{"a layer that is not there", tarOf(t, replace("cc/layer.tar")...)},
		{"a config outside", tarOf(t, manifest(`[{"Config":"../../etc/passwd","Layers":[]}]`)...)},
		{"a name that is none", tarOf(t, manifest(`[{"Config":"config.json","RepoTags":["../x"],"Layers":["aa/layer.tar","bb/layer.tar","cc/layer.tar"]}]`)...)},
		{"a list that is huge", tarOf(t, manifest("["+strings.Repeat(" ", 17<<20)+"]")...)},
		{"a list that is none", tarOf(t, manifest(`{}`)...)},
	} {
		if _, err := open(row.raw); !errors.Is(err, archive.ErrInvalid) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	// A layer that is not the one of the config is seen when it is read.
	r := mustOpen(t, tarOf(t, replace("aa/layer.tar", file{name: "aa/layer.tar", text: "BASE"})...))
	blob, err := r.OpenBlob(t.Context(), describe("", "base"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(blob); !errors.Is(err, digest.ErrMismatch) {
		t.Errorf("another layer: %v", err)
	}
}

func TestFiles(t *testing.T) {
	raw := tarOf(t, old(t)...)
	path := filepath.Join(t.TempDir(), "x.tar")
	for _, text := range []string{string(raw), gzipped(t, string(raw))} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, open := range []func() (*archive.File, error){
			func() (*archive.File, error) { return archive.OpenFile(path) },
			func() (*archive.File, error) { return archive.Spool(strings.NewReader(text)) },
		} {
			f, err := open()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Resolve(t.Context(), "team/app:1"); err != nil {
				t.Error(err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A small file that fills the disk is given up.
func TestBomb(t *testing.T) {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	if _, err := io.CopyN(w, zeros{}, 64<<20); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Spool(&bomb); !errors.Is(err, archive.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func FuzzNewReader(f *testing.F) {
	var t testing.T
	f.Add(tarOf(&t, old(&t)...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := open(raw)
		if err != nil {
			return
		}
		for _, e := range r.Entries() {
			raw, err := r.Manifest(t.Context(), e.Descriptor)
			if err == nil && digest.FromBytes(raw) != e.Descriptor.Digest && e.Descriptor.Digest.Algorithm() == digest.SHA256 {
				t.Errorf("manifest %s is another one", e.Descriptor.Digest)
			}
		}
	})
}
