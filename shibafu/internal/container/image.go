package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"shibafu.dev/shibafu/internal/image"
	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step5-manifest/manifest"
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
	i, err := image.Read(ctx, from, d)
	if errors.Is(err, image.ErrNoImage) || errors.Is(err, manifest.ErrInvalid) {
		return Image{}, fmt.Errorf("%w: %w", ErrImage, err)
	}
	if err != nil {
		return Image{}, err
	}
	ids := i.Config.RootFS.DiffIDs
	switch {
	case len(ids) == 0:
		return Image{}, fmt.Errorf("%w: it has no layers", ErrImage)
	case len(ids) > most:
		return Image{}, fmt.Errorf("%w: it has %d layers, more than %d", ErrImage, len(ids), most)
	}
	loaded := Image{Config: i.Config}
	for n, l := range i.Manifest.Layers {
		loaded.Layers = append(loaded.Layers, layer.Blob{
			Descriptor: l, DiffID: ids[n],
			Open: func(ctx context.Context) (io.ReadCloser, error) { return from.OpenUnchecked(ctx, l) },
		})
	}
	return loaded, nil
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
