package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/layer"
	"shibafu.dev/step6-client/layout"
)

// ErrImage says that an image cannot be run.
var ErrImage = errors.New("this image cannot be run")

// Image is an image for one platform: what it starts with, and its layers, the lowest
// first.
type Image struct {
	Config oci.ImageConfig
	Layers []layer.Blob
}

// most is how many layers an image may have: as many as others let it have.
const most = 127

// Load reads an image's manifest and config. ErrImage, layout.ErrUnknown.
func Load(ctx context.Context, from *layout.Layout, d oci.Descriptor) (Image, error) {
	var image Image
	raw, err := from.Manifest(ctx, d)
	if err != nil {
		return image, err
	}
	var manifest oci.Manifest
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return image, fmt.Errorf("%w: %w", ErrImage, err)
	}
	if !oci.IsImageConfig(manifest.Config.MediaType) {
		return image, fmt.Errorf("%w: it is no container image, but has a config of type %q", ErrImage, manifest.Config.MediaType)
	}
	if image.Config, err = loadConfig(ctx, from, manifest.Config); err != nil {
		return image, err
	}
	ids := image.Config.RootFS.DiffIDs
	switch {
	case len(ids) != len(manifest.Layers):
		return image, fmt.Errorf("%w: its config has %d layers, its manifest %d", ErrImage, len(ids), len(manifest.Layers))
	case len(ids) == 0:
		return image, fmt.Errorf("%w: it has no layers", ErrImage)
	case len(ids) > most:
		return image, fmt.Errorf("%w: it has %d layers, more than %d", ErrImage, len(ids), most)
	}
	for i, l := range manifest.Layers {
		image.Layers = append(image.Layers, layer.Blob{
			Descriptor: l, DiffID: ids[i],
			Open: func(ctx context.Context) (io.ReadCloser, error) { return from.OpenUnchecked(ctx, l) },
		})
	}
	return image, nil
}

// LoadAll reads the images that d leads to and that are there: itself, or those of an
// index. What is no image that could be run is left out.
func LoadAll(ctx context.Context, from *layout.Layout, d oci.Descriptor) ([]Image, error) {
	const depth = 4
	return loadAll(ctx, from, d, depth, map[digest.Digest]bool{})
}

// loadAll passes over what it has seen, or a few indexes that name one another many
// times would keep it busy for ever.
func loadAll(ctx context.Context, from *layout.Layout, d oci.Descriptor, depth int, seen map[digest.Digest]bool) (all []Image, err error) {
	if seen[d.Digest] {
		return nil, nil
	}
	seen[d.Digest] = true
	if !oci.IsIndex(d.MediaType) {
		i, err := Load(ctx, from, d)
		if errors.Is(err, ErrImage) || errors.Is(err, layout.ErrUnknown) {
			return nil, nil
		}
		return []Image{i}, err
	}
	raw, err := from.Manifest(ctx, d)
	if err != nil || depth == 0 {
		return nil, err
	}
	var index oci.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, nil
	}
	for _, m := range index.Manifests {
		found, err := loadAll(ctx, from, m, depth-1, seen)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func loadConfig(ctx context.Context, from *layout.Layout, d oci.Descriptor) (c oci.ImageConfig, err error) {
	const largest = 8 << 20
	if d.Size > largest {
		return c, fmt.Errorf("%w: a config of %d bytes", ErrImage, d.Size)
	}
	f, err := from.OpenBlob(ctx, d)
	if err != nil {
		return c, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, largest+1))
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return c, fmt.Errorf("%w: its config: %w", ErrImage, err)
	}
	return c, nil
}

// chains returns what stands for each layer together with those below it.
// Source: OCI image specification, config.md, "Layer ChainID".
func (i Image) chains() []digest.Digest {
	var all []digest.Digest
	for n, l := range i.Layers {
		if n == 0 {
			all = append(all, l.DiffID)
			continue
		}
		all = append(all, digest.FromBytes([]byte(all[n-1].String()+" "+l.DiffID.String())))
	}
	return all
}
