// Package image reads the documents that an image is made of, and makes them for one
// that is put together from layers.
package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step6-client/transfer"
)

// ErrNoImage says that what was found is no image: an index, or an artifact.
var ErrNoImage = errors.New("not an image")

// maxConfig is how large a config may be, in bytes.
const maxConfig = 8 << 20

// Image is the documents of one.
type Image struct {
	// Descriptor is that of the manifest.
	Descriptor oci.Descriptor
	Manifest   oci.Manifest
	Config     oci.ImageConfig
}

// Read reads the image that d describes. ErrNoImage; manifest.ErrInvalid if its
// documents are not what they should be, or have not a diff ID for each layer.
func Read(ctx context.Context, src transfer.Source, d oci.Descriptor) (Image, error) {
	i := Image{Descriptor: d}
	if oci.IsIndex(d.MediaType) {
		return i, fmt.Errorf("%w: %s is an index", ErrNoImage, d.Digest)
	}
	raw, err := src.Manifest(ctx, d)
	if err != nil {
		return i, err
	}
	if _, err := manifest.Parse(d.MediaType, raw); err != nil {
		return i, err
	}
	if err := json.Unmarshal(raw, &i.Manifest); err != nil {
		return i, fmt.Errorf("%w: manifest %s", manifest.ErrInvalid, d.Digest)
	}
	if config := i.Manifest.Config; !oci.IsImageConfig(config.MediaType) {
		return i, fmt.Errorf("%w: %s: it is no container image, but has a config of type %q", ErrNoImage, d.Digest, config.MediaType)
	}
	if err := i.readConfig(ctx, src); err != nil {
		return i, err
	}
	if got, want := len(i.Config.RootFS.DiffIDs), len(i.Manifest.Layers); got != want {
		return i, fmt.Errorf("%w: %s: its config has %d layers, its manifest %d", manifest.ErrInvalid, d.Digest, got, want)
	}
	return i, nil
}

func (i *Image) readConfig(ctx context.Context, src transfer.Source) error {
	config := i.Manifest.Config
	if config.Size > maxConfig {
		return fmt.Errorf("%w: a config of %d bytes", manifest.ErrInvalid, config.Size)
	}
	r, err := src.OpenBlob(ctx, config)
	if err != nil {
		return err
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, config.Size))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &i.Config); err != nil {
		return fmt.Errorf("%w: its config %s", manifest.ErrInvalid, config.Digest)
	}
	return nil
}

// Size is what the image takes as it travels, in bytes: its layers, config and
// manifest.
func (i Image) Size() int64 {
	size := i.Descriptor.Size + i.Manifest.Config.Size
	for _, l := range i.Manifest.Layers {
		size += l.Size
	}
	return size
}
