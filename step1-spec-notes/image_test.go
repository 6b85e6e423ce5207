package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
)

var write = flag.Bool("write", false, "write the image of testdata anew")

// The image that the README explains is a true one: each document names the next
// by its hash, down to a layer with one file. "go test . -write" makes it again.
func TestImageOfTheREADME(t *testing.T) {
	archive := helloLayer(t)
	config := document(t, "config.json", oci.ImageConfig{
		Created:  time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
		Platform: oci.Platform{OS: "linux", Architecture: "amd64"},
		Config:   oci.ContainerConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"/bin/hello"}},
		RootFS:   oci.RootFS{Type: oci.RootFSTypeLayers, DiffIDs: []digest.Digest{digest.FromBytes(archive)}},
		History:  []oci.History{{CreatedBy: "COPY hello /bin/hello"}, {CreatedBy: `CMD ["/bin/hello"]`, EmptyLayer: true}},
	})
	layer := stored(t, archive)
	manifest := document(t, "manifest.json", oci.Manifest{
		SchemaVersion: oci.SchemaVersion,
		MediaType:     oci.MediaTypeImageManifest,
		Config:        descriptor(oci.MediaTypeImageConfig, config),
		Layers:        []oci.Descriptor{descriptor(oci.MediaTypeImageLayerGzip, layer)},
	})
	amd64 := descriptor(oci.MediaTypeImageManifest, manifest)
	amd64.Platform = &oci.Platform{OS: "linux", Architecture: "amd64"}
	index := document(t, "index.json", oci.Index{
		SchemaVersion: oci.SchemaVersion,
		MediaType:     oci.MediaTypeImageIndex,
		Manifests:     []oci.Descriptor{amd64},
	})
	for _, raw := range [][]byte{config, manifest, index} {
		if _, faults := oci.Check(raw); len(faults) != 0 {
			t.Errorf("%s: %v", raw, faults)
		}
	}
}

func descriptor(mediaType string, content []byte) oci.Descriptor {
	return oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// document is v as JSON, and what the file of that name in testdata must hold.
func document(t *testing.T, name string, v any) []byte {
	t.Helper()
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	raw = append(raw, '\n')
	file := filepath.Join("testdata", name)
	if *write {
		if err := os.WriteFile(file, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, raw) {
		t.Fatalf("%s is not what it should be: %v", file, err)
	}
	return raw
}

// helloLayer is a layer as it is unpacked: a tar archive of one program.
func helloLayer(t *testing.T) []byte {
	t.Helper()
	const program = "#!/bin/sh\necho hello\n"
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "bin/hello", Mode: 0o755, Size: int64(len(program)), Format: tar.FormatUSTAR}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(program)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// stored is the same layer as it travels. It is not compressed, only wrapped, so
// that the bytes do not depend on the version of the compressor.
func stored(t *testing.T, archive []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(archive); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
