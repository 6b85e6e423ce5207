package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/cas"
)

// catalog is the poorest pullhttp.Manifests there can be: a store, and a fixed
// table that says what a tag refers to. Every name sees every manifest; that a
// repository holds only what was pushed to it comes with step 5.
type catalog struct {
	store     *cas.Store
	tags      map[string]digest.Digest // by "name:tag"
	manifests map[digest.Digest]oci.Descriptor
}

func (c *catalog) Manifest(ctx context.Context, name ref.Name, reference ref.TagOrDigest) (oci.Descriptor, []byte, error) {
	d, ok := reference.Digest()
	if !ok {
		d = c.tags[name.String()+":"+reference.String()]
	}
	desc, ok := c.manifests[d]
	if !ok {
		return oci.Descriptor{}, nil, bucket.ErrNotExist
	}
	o, err := c.store.Open(ctx, d)
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	defer o.Close()
	raw, err := io.ReadAll(o)
	return desc, raw, err
}

// seed stores an image of one layer with one file, and tags it library/hello:latest.
// The same bytes come out each time, so the digests in the README are right.
func seed(ctx context.Context, store *cas.Store) (*catalog, error) {
	var plain, packed bytes.Buffer
	files := tar.NewWriter(&plain)
	text := []byte("Hello from a registry you built yourself.\n")
	header := &tar.Header{Name: "hello.txt", Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(0, 0)}
	if err := files.WriteHeader(header); err != nil {
		return nil, err
	}
	files.Write(text)
	if err := files.Close(); err != nil {
		return nil, err
	}
	z := gzip.NewWriter(&packed)
	z.Write(plain.Bytes())
	if err := z.Close(); err != nil {
		return nil, err
	}
	config, err := json.Marshal(oci.ImageConfig{
		Platform: oci.Platform{Architecture: "amd64", OS: "linux"},
		Config:   oci.ContainerConfig{Cmd: []string{"/hello.txt"}},
		RootFS:   oci.RootFS{Type: oci.RootFSTypeLayers, DiffIDs: []digest.Digest{digest.FromBytes(plain.Bytes())}},
	})
	if err != nil {
		return nil, err
	}
	put := func(mediaType string, data []byte) (oci.Descriptor, error) {
		d := oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
		return d, store.PutBytes(ctx, d.Digest, data)
	}
	layerDesc, err := put(oci.MediaTypeImageLayerGzip, packed.Bytes())
	if err != nil {
		return nil, err
	}
	configDesc, err := put(oci.MediaTypeImageConfig, config)
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(oci.Manifest{
		SchemaVersion: oci.SchemaVersion,
		MediaType:     oci.MediaTypeImageManifest,
		Config:        configDesc,
		Layers:        []oci.Descriptor{layerDesc},
	})
	if err != nil {
		return nil, err
	}
	desc, err := put(oci.MediaTypeImageManifest, manifest)
	if err != nil {
		return nil, err
	}
	return &catalog{
		store:     store,
		tags:      map[string]digest.Digest{"library/hello:latest": desc.Digest},
		manifests: map[digest.Digest]oci.Descriptor{desc.Digest: desc},
	}, nil
}
