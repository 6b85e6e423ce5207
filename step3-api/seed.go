package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
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
	files, err := archive("hello.txt", "Hello from a registry you built yourself.\n")
	if err != nil {
		return nil, err
	}
	layer := pack(files)
	config, err := json.Marshal(oci.ImageConfig{
		Platform: oci.Platform{Architecture: "amd64", OS: "linux"},
		Config:   oci.ContainerConfig{Cmd: []string{"/hello.txt"}},
		RootFS:   oci.RootFS{Type: oci.RootFSTypeLayers, DiffIDs: []digest.Digest{digest.FromBytes(files)}},
	})
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(oci.Manifest{
		SchemaVersion: oci.SchemaVersion,
		MediaType:     oci.MediaTypeImageManifest,
		Config:        describe(oci.MediaTypeImageConfig, config),
		Layers:        []oci.Descriptor{describe(oci.MediaTypeImageLayerGzip, layer)},
	})
	if err != nil {
		return nil, err
	}
	for _, data := range [][]byte{layer, config, manifest} {
		if err := store.PutBytes(ctx, digest.FromBytes(data), data); err != nil {
			return nil, err
		}
	}
	desc := describe(oci.MediaTypeImageManifest, manifest)
	return &catalog{
		store:     store,
		tags:      map[string]digest.Digest{"library/hello:latest": desc.Digest},
		manifests: map[digest.Digest]oci.Descriptor{desc.Digest: desc},
	}, nil
}

// archive is a tar archive of one file.
func archive(name, text string) ([]byte, error) {
	var archive bytes.Buffer
	files := tar.NewWriter(&archive)
	header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(0, 0)}
	if err := files.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(files, text); err != nil {
		return nil, err
	}
	err := files.Close()
	return archive.Bytes(), err
}

// pack makes a gzip file of data, of less than 64 KiB, by hand: in one block, and
// not compressed, as another version of Go may compress to other bytes.
//
// Source: RFC 1952, section 2.3, and RFC 1951, section 3.2.4.
func pack(data []byte) []byte {
	size := uint16(len(data))
	packed := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1}
	packed = binary.LittleEndian.AppendUint16(packed, size)
	packed = binary.LittleEndian.AppendUint16(packed, ^size)
	packed = append(packed, data...)
	packed = binary.LittleEndian.AppendUint32(packed, crc32.ChecksumIEEE(data))
	return binary.LittleEndian.AppendUint32(packed, uint32(len(data)))
}

func describe(mediaType string, data []byte) oci.Descriptor {
	return oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}
