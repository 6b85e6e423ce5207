package image

import (
	"context"
	"errors"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step6-client/layout"
	"shibafu.dev/step6-client/transfer"
)

// Total is what something takes with all that it leads to, each blob once.
type Total struct {
	// Bytes are those of what is there; the layers of an image are taken to be.
	Bytes int64
	// Platforms are those of the images that are there.
	Platforms []oci.Platform
}

// Sum adds up what d leads to in a layout. What is not there of an index counts for
// nothing.
func Sum(ctx context.Context, src transfer.Source, d oci.Descriptor) (Total, error) {
	s := summer{src: src, seen: map[digest.Digest]bool{}}
	err := s.manifest(ctx, d, 0)
	return s.Total, err
}

// maxDepth is how deep indexes may be nested.
const maxDepth = 16

type summer struct {
	Total
	src  transfer.Source
	seen map[digest.Digest]bool
}

func (s *summer) manifest(ctx context.Context, d oci.Descriptor, depth int) error {
	if s.seen[d.Digest] || depth == maxDepth {
		return nil
	}
	raw, err := s.src.Manifest(ctx, d)
	if errors.Is(err, layout.ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	m, err := manifest.Parse(d.MediaType, raw)
	if err != nil {
		return err
	}
	s.add(d)
	for _, b := range m.Blobs {
		s.add(b)
	}
	for _, child := range m.Manifests {
		if !layout.IsManifest(child.MediaType) {
			s.add(child)
		} else if err := s.manifest(ctx, child, depth+1); err != nil {
			return err
		}
	}
	s.platform(ctx, d)
	return nil
}

func (s *summer) add(d oci.Descriptor) {
	if !s.seen[d.Digest] {
		s.seen[d.Digest] = true
		s.Bytes += d.Size
	}
}

// platform notes what an image is for, as its index says, or else its config.
func (s *summer) platform(ctx context.Context, d oci.Descriptor) {
	if !oci.IsManifest(d.MediaType) {
		return
	}
	if d.Platform != nil {
		s.Platforms = append(s.Platforms, *d.Platform)
	} else if i, err := Read(ctx, s.src, d); err == nil && i.Config.OS != "" { // else it is an artifact
		s.Platforms = append(s.Platforms, i.Config.Platform)
	}
}
