package archive_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/archive"
)

func putBlob(t *testing.T, w *archive.Writer, mediaType, text string) oci.Descriptor {
	t.Helper()
	d := describe(mediaType, text)
	if err := w.PutBlob(t.Context(), d, opener(text)); err != nil {
		t.Fatal(err)
	}
	return d
}

func opener(text string) func(int64) (io.ReadCloser, error) {
	return func(offset int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text[offset:])), nil
	}
}

func put(t *testing.T, w *archive.Writer, mediaType string, document any, name string) oci.Descriptor {
	t.Helper()
	text := jsonOf(t, document)
	d := describe(mediaType, text)
	if err := w.PutManifest(t.Context(), d, []byte(text), name); err != nil {
		t.Fatal(err)
	}
	return d
}

// contents are the files of a tar.
func contents(t *testing.T, raw []byte) map[string]string {
	t.Helper()
	all := map[string]string{}
	r := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := all[h.Name]; twice {
			t.Errorf("%s is there twice", h.Name)
		}
		all[h.Name] = string(text)
	}
}

// Docker's lists name the same files as the layout.
func TestWriter(t *testing.T) {
	var out bytes.Buffer
	w := archive.NewWriter(&out, oci.Platform{OS: "linux", Architecture: "arm64"})
	image := func(layer string) oci.Descriptor {
		return put(t, w, oci.MediaTypeImageManifest, oci.Manifest{SchemaVersion: 2, Config: putBlob(t, w, oci.MediaTypeImageConfig, "{}"), Layers: []oci.Descriptor{putBlob(t, w, oci.MediaTypeImageLayer, layer)}}, "")
	}
	amd64, arm64 := image("one"), image("two")
	amd64.Platform, arm64.Platform = &oci.Platform{OS: "linux", Architecture: "amd64"}, &oci.Platform{OS: "linux", Architecture: "arm64"}
	index := put(t, w, oci.MediaTypeImageIndex, oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{amd64, arm64}}, "localhost:5000/app:1")
	put(t, w, oci.MediaTypeImageManifest, oci.Manifest{SchemaVersion: 2, Config: putBlob(t, w, "application/x", "{}")}, "artifact")
	// Docker could not load an image that lacks a layer, nor one without a tag.
	foreign := describe(oci.MediaTypeDockerForeignLayer, "foreign")
	put(t, w, oci.MediaTypeDockerManifest, oci.Manifest{SchemaVersion: 2, MediaType: oci.MediaTypeDockerManifest, Config: putBlob(t, w, oci.MediaTypeDockerConfig, "{}"), Layers: []oci.Descriptor{foreign}}, "windows:1")
	put(t, w, oci.MediaTypeImageIndex, oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{amd64, arm64}}, "latest")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	files := contents(t, out.Bytes())
	var images []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal([]byte(files["manifest.json"]), &images); err != nil || len(images) != 1 {
		t.Fatalf("manifest.json is %s, %v", files["manifest.json"], err)
	}
	i := images[0]
	if len(i.RepoTags) != 1 || i.RepoTags[0] != "localhost:5000/app:1" || len(i.Layers) != 1 || files[i.Layers[0]] != "two" || files[i.Config] != "{}" {
		t.Errorf("manifest.json has %+v", i)
	}
	if want := `{"localhost:5000/app":{"1":"` + digest.FromBytes([]byte("two")).Hex() + `"}}`; files["repositories"] != want {
		t.Errorf("repositories is %s", files["repositories"])
	}
	if d, err := mustOpen(t, out.Bytes()).Resolve(t.Context(), "localhost:5000/app:1"); err != nil || d.Digest != index.Digest {
		t.Errorf("%v, %v", d, err)
	}
}

func TestWriterBreaks(t *testing.T) {
	for _, wrong := range []string{"wrong", "righ", ""} {
		var out bytes.Buffer
		w := archive.NewWriter(&out)
		if err := w.PutBlob(t.Context(), describe("a/b", "right"), opener(wrong)); !errors.Is(err, digest.ErrMismatch) {
			t.Errorf("%q: %v", wrong, err)
		}
		if err := w.Close(); !errors.Is(err, archive.ErrBroken) {
			t.Errorf("%q: finished with %v", wrong, err)
		}
	}
	w := archive.NewWriter(failing{})
	w.PutBlob(t.Context(), describe("a/b", "right"), opener("right"))
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Errorf("nowhere to write to: %v", err)
	}
}

var errFull = errors.New("full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }
