package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/layer"
	"shibafu.dev/step6-client/layout"
	"shibafu.dev/step6-client/transfer"

	"shibafu.dev/shibafu/internal/image"
)

var (
	// ErrLayer says that no layer has a name.
	ErrLayer = fmt.Errorf("%w: layer", layout.ErrUnknown)
	// ErrLayerName says that a text cannot be the name of a layer.
	ErrLayerName = fmt.Errorf("%w of a layer: want letters, digits and ._-, 128 at most", layout.ErrName)
)

// CheckLayerName returns ErrLayerName unless name can be that of a layer.
func CheckLayerName(name string) error {
	if _, err := ref.ParseTag(name); err != nil {
		return fmt.Errorf("%w: %q", ErrLayerName, name)
	}
	return nil
}

// Layers returns the layers that have a name, in the order of the names.
func (s *Store) Layers(ctx context.Context) (all []image.Layer, err error) {
	list, err := s.named(ctx, func(name string) bool { return strings.HasPrefix(name, layerPrefix) })
	if err != nil {
		return nil, err
	}
	for _, i := range list {
		l, err := s.readLayer(ctx, i)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", i.Name, err)
		}
		all = append(all, l)
	}
	return all, nil
}

// Layer returns the layer of a name. ErrLayer.
func (s *Store) Layer(ctx context.Context, name string) (image.Layer, error) {
	d, err := s.Resolve(ctx, layerPrefix+name)
	if errors.Is(err, layout.ErrUnknown) {
		return image.Layer{}, fmt.Errorf("%w %q", ErrLayer, name)
	}
	if err != nil {
		return image.Layer{}, err
	}
	return s.readLayer(ctx, Image{layerPrefix + name, d})
}

// readLayer is the only layer of an image.
func (s *Store) readLayer(ctx context.Context, is Image) (image.Layer, error) {
	i, err := image.Read(ctx, s, is.Descriptor)
	if err != nil {
		return image.Layer{}, err
	}
	if n := len(i.Manifest.Layers); n != 1 {
		return image.Layer{}, fmt.Errorf("%w: %d layers under one name", image.ErrNoImage, n)
	}
	return image.Layer{
		Name:       strings.TrimPrefix(is.Name, layerPrefix),
		Descriptor: i.Manifest.Layers[0], DiffID: i.Config.RootFS.DiffIDs[0], Created: i.Config.Created,
	}, nil
}

// AddLayer stores the layer that write writes, and gives it a name, which it takes from
// another layer that has it. created is zero for a layer that does not say when.
// ErrLayerName, and what write returns.
func (s *Store) AddLayer(ctx context.Context, name string, created time.Time, write func(io.Writer) (layer.Made, error)) (image.Layer, error) {
	l := image.Layer{Name: name, Created: created}
	if err := CheckLayerName(name); err != nil {
		return l, err
	}
	made, err := s.putLayer(ctx, write)
	if err != nil {
		return l, err
	}
	l.Descriptor, l.DiffID = made.Descriptor, made.DiffID
	_, err = s.Assemble(ctx, layerPrefix+name, image.Recipe{Layers: []image.Layer{l}, Platform: HostPlatform()})
	return l, err
}

// putLayer stores what write writes as it comes: only in the end its digest is known.
func (s *Store) putLayer(ctx context.Context, write func(io.Writer) (layer.Made, error)) (made layer.Made, err error) {
	w, err := s.Blobs().NewWriter(ctx, "layer-"+rand.Text(), digest.SHA256, nil)
	if err != nil {
		return made, err
	}
	defer w.Cancel(context.WithoutCancel(ctx))
	r, pipe := io.Pipe()
	written := make(chan error, 1)
	go func() {
		var err error
		made, err = write(pipe)
		pipe.CloseWithError(err)
		written <- err
	}()
	_, err = w.Append(ctx, 0, r)
	r.CloseWithError(err) // or write would wait for ever
	if wrong := <-written; wrong != nil && (err == nil || errors.Is(err, wrong)) {
		err = wrong
	}
	if err != nil {
		return made, err
	}
	return made, w.Commit(ctx, made.Descriptor.Digest)
}

// Assemble stores the image of a recipe, whose layers are there, under a name.
func (s *Store) Assemble(ctx context.Context, name string, r image.Recipe) (oci.Descriptor, error) {
	config, m, err := r.Documents()
	if err != nil {
		return oci.Descriptor{}, err
	}
	if err := s.Blobs().PutBytes(ctx, config.Descriptor.Digest, config.Raw); err != nil {
		return oci.Descriptor{}, err
	}
	return m.Descriptor, s.PutManifest(ctx, m.Descriptor, m.Raw, name)
}

// RemoveLayer takes the name of a layer away. Its bytes stay until they are pruned.
// ErrLayer.
func (s *Store) RemoveLayer(ctx context.Context, name string) error {
	err := s.Remove(ctx, layerPrefix+name)
	if errors.Is(err, layout.ErrUnknown) {
		return fmt.Errorf("%w %q", ErrLayer, name)
	}
	return err
}

// HostPlatform is what an image that is made here is for: this machine, in the words
// that others write too, where what goes without saying is not said.
func HostPlatform() oci.Platform {
	p := transfer.Host()
	if p.Architecture != "arm" {
		p.Variant = ""
	}
	return p
}
