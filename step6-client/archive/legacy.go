package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step6-client/layout"
)

const (
	// maxConfig is how large a config may be, in bytes, and maxLayers how many layers
	// an image may have: overlayfs takes fewer.
	maxConfig = 4 << 20
	maxLayers = 1_000
	maxImages = 10_000
)

// readImages reads an archive that has a manifest.json only.
func (r *Reader) readImages() error {
	raw, err := r.files.read(manifestFile, maxFile)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var images []image
	if err := json.Unmarshal(raw, &images); err != nil || len(images) > maxImages {
		return fmt.Errorf("%w: %s is not a list of images", ErrInvalid, manifestFile)
	}
	for _, i := range images {
		if err := r.readImage(i); err != nil {
			return err
		}
	}
	return nil
}

// readImage makes the manifest that an image of such an archive lacks. Its types are
// those of the OCI, whose configs are Docker's with fewer fields.
func (r *Reader) readImage(i image) error {
	raw, err := r.files.read(i.Config, maxConfig)
	if err != nil {
		return fmt.Errorf("%w: config %w", ErrInvalid, err)
	}
	var config oci.ImageConfig
	if err := json.Unmarshal(raw, &config); err != nil {
		return fmt.Errorf("%w: config cannot be read", ErrInvalid)
	}
	ids := config.RootFS.DiffIDs
	if len(ids) != len(i.Layers) || len(ids) > maxLayers {
		return fmt.Errorf("%w: %d layers, but the config tells of %d", ErrInvalid, len(i.Layers), len(ids))
	}
	m := oci.Manifest{
		SchemaVersion: oci.SchemaVersion, MediaType: oci.MediaTypeImageManifest,
		Config: oci.Descriptor{MediaType: oci.MediaTypeImageConfig, Digest: digest.FromBytes(raw), Size: int64(len(raw))},
	}
	if r.blobs[m.Config.Digest], err = r.files.find(i.Config); err != nil {
		return err
	}
	for n, name := range i.Layers {
		d, err := r.layer(name, ids[n])
		if err != nil {
			return err
		}
		m.Layers = append(m.Layers, d)
	}
	if raw, err = json.Marshal(m); err != nil || len(raw) > manifest.MaxSize {
		return fmt.Errorf("%w: image cannot be described", ErrInvalid)
	}
	desc := oci.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	r.made[desc.Digest] = raw
	return r.name(i.RepoTags, desc)
}

func (r *Reader) name(tags []string, d oci.Descriptor) error {
	if len(tags) == 0 {
		tags = []string{""}
	}
	for _, tag := range tags {
		if tag != "" && layout.CheckName(tag) != nil {
			return fmt.Errorf("%w: a name that cannot be one", ErrInvalid)
		}
		r.entries = append(r.entries, layout.Entry{Name: tag, Descriptor: d})
	}
	return nil
}

// layer describes a file that is a layer whose tar has the digest id.
func (r *Reader) layer(name string, id digest.Digest) (oci.Descriptor, error) {
	p, err := r.files.find(name)
	if err != nil {
		return oci.Descriptor{}, fmt.Errorf("%w: layer %w", ErrInvalid, err)
	}
	d := oci.Descriptor{MediaType: oci.MediaTypeImageLayer, Digest: id, Size: p.size}
	begin := make([]byte, min(4, p.size))
	if _, err := io.ReadFull(r.files.section(p), begin); err != nil {
		return d, err
	}
	switch {
	case bytes.HasPrefix(begin, []byte{0x1f, 0x8b}):
		d.MediaType = oci.MediaTypeImageLayerGzip
	case bytes.Equal(begin, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		d.MediaType = oci.MediaTypeImageLayerZstd
	}
	if d.MediaType != oci.MediaTypeImageLayer {
		h := digest.SHA256.New()
		if _, err := io.Copy(h, r.files.section(p)); err != nil {
			return d, err
		}
		d.Digest = digest.SHA256.FromHash(h)
	}
	r.blobs[d.Digest] = p
	return d, nil
}
