package container_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"shibafu.dev/shibafu/internal/container"
	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step6-client/layer"
	"shibafu.dev/step6-client/layout"
)

// storage is a layout that images are loaded from.
type storage struct {
	*testing.T
	*layout.Layout
}

func newStorage(t *testing.T) storage {
	t.Helper()
	l, err := layout.Create(t.Context(), mem.New())
	if err != nil {
		t.Fatal(err)
	}
	return storage{t, l}
}

func (s storage) blob(mediaType string, raw []byte) oci.Descriptor {
	s.Helper()
	d := oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if err := s.Blobs().PutBytes(s.Context(), d.Digest, raw); err != nil {
		s.Fatal(err)
	}
	return d
}

func (s storage) manifest(mediaType string, document any) oci.Descriptor {
	s.Helper()
	raw, err := json.Marshal(document)
	if err != nil {
		s.Fatal(err)
	}
	return s.blob(mediaType, raw)
}

// image is one of those layers, as change makes it.
func (s storage) image(layers []layer.Blob, change func(*oci.Manifest, *oci.ImageConfig)) oci.Descriptor {
	s.Helper()
	m := oci.Manifest{SchemaVersion: 2, MediaType: oci.MediaTypeImageManifest}
	c := oci.ImageConfig{RootFS: oci.RootFS{Type: "layers"}}
	for _, l := range layers {
		from, err := l.Open(s.Context())
		if err != nil {
			s.Fatal(err)
		}
		raw, err := io.ReadAll(from)
		if err != nil {
			s.Fatal(err)
		}
		m.Layers = append(m.Layers, s.blob(l.Descriptor.MediaType, raw))
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.DiffID)
	}
	change(&m, &c)
	if m.Config.Digest.IsZero() {
		m.Config = s.manifest(oci.MediaTypeImageConfig, c)
	}
	return s.manifest(oci.MediaTypeImageManifest, m)
}

// What an image says of itself must be so, or it neither runs nor leaves anything.
func TestHostileManifests(t *testing.T) {
	s := newStorage(t)
	base := image(t).Layers
	both := append(base, blob(t, text("x", "x\n")))
	other := digest.FromBytes([]byte("other"))
	many := func(n int) func(*oci.Manifest, *oci.ImageConfig) {
		return func(m *oci.Manifest, c *oci.ImageConfig) {
			for len(m.Layers) < n {
				m.Layers, c.RootFS.DiffIDs = append(m.Layers, m.Layers[1]), append(c.RootFS.DiffIDs, c.RootFS.DiffIDs[1])
			}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*oci.Manifest, *oci.ImageConfig)
		want   string // "" if it runs
	}{
		{"as it is", func(*oci.Manifest, *oci.ImageConfig) {}, ""},
		{"more layers than IDs", func(m *oci.Manifest, c *oci.ImageConfig) { c.RootFS.DiffIDs = c.RootFS.DiffIDs[:1] }, "its config has 1 layers, its manifest 2"},
		{"more IDs than layers", func(m *oci.Manifest, c *oci.ImageConfig) { m.Layers = m.Layers[:1] }, "its config has 2 layers, its manifest 1"},
		{"no layers", func(m *oci.Manifest, c *oci.ImageConfig) { m.Layers, c.RootFS.DiffIDs = nil, nil }, "it has no layers"},
		{"one layer a thousand times", many(1000), "it has 1000 layers, more than 127"},
		{"one layer as often as may be", many(127), ""},
		{"a size too small", func(m *oci.Manifest, c *oci.ImageConfig) { m.Layers[1].Size-- }, "has 2048 bytes, not 2047"},
		{"a size too large", func(m *oci.Manifest, c *oci.ImageConfig) { m.Layers[1].Size++ }, "has 2048 bytes, not 2049"},
		{"an ID of something else", func(m *oci.Manifest, c *oci.ImageConfig) { c.RootFS.DiffIDs[1] = other }, "does not match its digest"},
		{"IDs the other way round", func(m *oci.Manifest, c *oci.ImageConfig) {
			c.RootFS.DiffIDs[0], c.RootFS.DiffIDs[1] = c.RootFS.DiffIDs[1], c.RootFS.DiffIDs[0]
		}, "does not match its digest"},
		{"a layer that is not here", func(m *oci.Manifest, c *oci.ImageConfig) { m.Layers[1].Digest = other }, "layout: no such image"},
		{"a compression that it has not", func(m *oci.Manifest, c *oci.ImageConfig) { m.Layers[1].MediaType = oci.MediaTypeImageLayerGzip }, "gzip"},
		{"a config that is none", func(m *oci.Manifest, c *oci.ImageConfig) { m.Config = s.blob("application/x", []byte("{}")) }, "it is no container image"},
		{"a config of something else", func(m *oci.Manifest, c *oci.ImageConfig) { m.Config = s.blob(oci.MediaTypeImageConfig, []byte("[]")) }, "its config"},
		{"a config that is endless", func(m *oci.Manifest, c *oci.ImageConfig) {
			m.Config = s.blob(oci.MediaTypeImageConfig, []byte("{}"))
			m.Config.Size = 1 << 40
		}, "a config of 1099511627776 bytes"},
		{"layers from elsewhere", func(m *oci.Manifest, c *oci.ImageConfig) {
			m.Layers[1].URLs, m.Layers[1].Digest = []string{"http://169.254.169.254/", "file:///etc/passwd"}, other
		}, "layout: no such image"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i, err := container.Load(t.Context(), s.Layout, s.image(both, tt.change))
			r := result{err: err}
			if err == nil {
				r = newWorld(t).run(i, container.Spec{}, "/probe", "exit", "0")
			}
			if (r.err == nil) != (tt.want == "") || r.err != nil && !strings.Contains(r.err.Error(), tt.want) {
				t.Errorf("code %d, %v; want %q", r.code, r.err, tt.want)
			}
		})
	}
}

// Indexes that name one another very often are looked through once.
func TestLoadAllIsBounded(t *testing.T) {
	s := newStorage(t)
	d := s.image(image(t).Layers, func(*oci.Manifest, *oci.ImageConfig) {})
	for range 4 {
		index := oci.Index{SchemaVersion: 2, MediaType: oci.MediaTypeImageIndex}
		for range 1000 {
			index.Manifests = append(index.Manifests, d)
		}
		d = s.manifest(index.MediaType, index)
	}
	all, err := container.LoadAll(t.Context(), s.Layout, d)
	if err != nil || len(all) != 1 {
		t.Errorf("%d images, %v", len(all), err)
	}
}

// A layer that breaks off leaves nothing at its name, and heals.
func TestLayerBreaksOff(t *testing.T) {
	w := newWorld(t)
	whole := blob(t, text("x", "whole\n"))
	broken := errors.New("broken")
	cut := whole
	cut.Open = func(ctx context.Context) (io.ReadCloser, error) {
		f, err := whole.Open(ctx)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(io.MultiReader(io.LimitReader(f, 600), &failing{broken})), nil
	}
	if r := w.run(image(t, cut), container.Spec{}, "/probe", "cat", "/x"); r.code != container.CodeFailed || r.err == nil {
		t.Errorf("code %d, %v", r.code, r.err)
	}
	cut.Open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(nil)), nil }
	if r := w.run(image(t, cut), container.Spec{}, "/probe", "cat", "/x"); r.code != container.CodeFailed || r.err == nil {
		t.Errorf("code %d, %v", r.code, r.err)
	}
	w.says("whole\n", image(t, whole), container.Spec{}, "/probe", "cat", "/x")
}

type failing struct{ error }

func (f *failing) Read([]byte) (int, error) { return 0, f.error }
