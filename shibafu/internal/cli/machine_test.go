package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/layout"
)

// machine is where the program runs: with a home of its own.
type machine struct {
	*testing.T
	home string
}

func newMachine(t *testing.T) machine {
	clean(t)
	home := t.TempDir()
	for name, value := range map[string]string{"HOME": home, "XDG_DATA_HOME": home, "DOCKER_CONFIG": home, "SOURCE_DATE_EPOCH": ""} {
		t.Setenv(name, value)
	}
	return machine{t, home}
}

// do runs the program, which must end with that code, and returns what it prints.
func (m machine) do(code int, args ...string) (stdout, stderr string) {
	m.Helper()
	return m.with(m.Context(), nil, code, args...)
}

func (m machine) with(ctx context.Context, in io.Reader, code int, args ...string) (stdout, stderr string) {
	m.Helper()
	var out, err bytes.Buffer
	if got := Run(ctx, args, Streams{in, &out, &err}); got != code {
		m.Fatalf("%q ends with %d, want %d: %s", args, got, code, &err)
	}
	return out.String(), err.String()
}

// out is what the program prints, which must succeed.
func (m machine) out(args ...string) string {
	m.Helper()
	out, _ := m.do(0, args...)
	return out
}

// prints is do for what must succeed, and print that.
func (m machine) prints(want string, args ...string) {
	m.Helper()
	if got, _ := m.do(0, args...); got != want {
		m.Errorf("%q prints %q, want %q", args, got, want)
	}
}

// made is a layout that image makes an image in.
func (m machine) made() string { return "oci:" + filepath.Join(m.home, "made") }

// image makes one in a layout, for two platforms, and returns the digests of the index
// and of what is for linux/amd64.
func (m machine) image(name string) (index, amd64 string) {
	m.Helper()
	l, err := layout.CreateFolder(m.Context(), filepath.Join(m.home, "made"), nil)
	if err != nil {
		m.Fatal(err)
	}
	defer l.Close()
	all := oci.Index{SchemaVersion: 2, MediaType: oci.MediaTypeImageIndex}
	for _, architecture := range []string{"amd64", "arm64"} {
		p := oci.Platform{OS: "linux", Architecture: architecture}
		layer := m.blob(l, oci.MediaTypeImageLayer, []byte(architecture))
		config := m.blob(l, oci.MediaTypeImageConfig, m.json(oci.ImageConfig{Platform: p, RootFS: oci.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer.Digest}}}))
		d := m.manifest(l, "", oci.MediaTypeImageManifest, oci.Manifest{SchemaVersion: 2, MediaType: oci.MediaTypeImageManifest, Config: config, Layers: []oci.Descriptor{layer}})
		d.Platform = &p
		all.Manifests = append(all.Manifests, d)
	}
	return m.manifest(l, name, all.MediaType, all).Digest.String(), all.Manifests[0].Digest.String()
}

func (m machine) json(v any) []byte {
	m.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		m.Fatal(err)
	}
	return raw
}

func (m machine) blob(l *layout.Folder, mediaType string, raw []byte) oci.Descriptor {
	m.Helper()
	d := oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if err := l.Blobs().PutBytes(m.Context(), d.Digest, raw); err != nil {
		m.Fatal(err)
	}
	return d
}

func (m machine) manifest(l *layout.Folder, name, mediaType string, v any) oci.Descriptor {
	m.Helper()
	raw := m.json(v)
	d := oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if err := l.PutManifest(m.Context(), d, raw, name); err != nil {
		m.Fatal(err)
	}
	return d
}

// says looks for a text in what was printed.
func (m machine) says(got, want string) {
	m.Helper()
	if !strings.Contains(got, want) {
		m.Errorf("it says %q, not %q", got, want)
	}
}
