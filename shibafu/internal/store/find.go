package store

import (
	"context"
	"fmt"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step6-client/layout"
	"shibafu.dev/step6-client/place"
)

// minPrefix is how many digits of a digest are taken for one: fewer are a slip.
const minPrefix = 4

// Find returns the image that somebody means by what he typed: a reference, which is
// completed as docker does it; a name in full, of those that other programs have put
// there; the digest of what is there, "sha256:…", or the beginning of the digest of one
// that has a name. layout.ErrUnknown, layout.ErrAmbiguous.
func (s *Store) Find(ctx context.Context, typed string) (Image, error) {
	images, err := s.Images(ctx)
	if err != nil {
		return Image{}, err
	}
	r, wrong := place.Complete(typed)
	for _, name := range []string{r.String(), typed} {
		for _, i := range images {
			if i.Name == name {
				return i, nil
			}
		}
	}
	if d, err := digest.Parse(typed); err == nil {
		return s.byDigest(ctx, "", d)
	}
	if wrong == nil && !r.Digest.IsZero() {
		return s.byDigest(ctx, r.String(), r.Digest)
	}
	return byPrefix(images, typed)
}

// byDigest is a manifest that is there, under any name or none. It goes by name, or
// where that is "" by the one that it has.
func (s *Store) byDigest(ctx context.Context, name string, d digest.Digest) (Image, error) {
	found, err := s.Resolve(ctx, d.String())
	if err != nil {
		return Image{}, err
	}
	images, err := s.Images(ctx)
	for _, i := range images {
		if name == "" && i.Descriptor.Digest == d {
			name = i.Name
		}
	}
	return Image{name, found}, err
}

// byPrefix is the one image whose digest begins so.
func byPrefix(images []Image, typed string) (found Image, err error) {
	digits := strings.TrimPrefix(typed, string(digest.SHA256)+":")
	for _, i := range images {
		switch {
		case len(digits) < minPrefix || !strings.HasPrefix(i.Descriptor.Digest.Hex(), digits):
		case found.Name == "":
			found = i
		case found.Descriptor.Digest != i.Descriptor.Digest:
			return Image{}, fmt.Errorf("%w begins with %q: %s and %s", layout.ErrAmbiguous, typed, found.Name, i.Name)
		}
	}
	if found.Descriptor.Digest.IsZero() {
		return Image{}, fmt.Errorf("%w here: %q", layout.ErrUnknown, typed)
	}
	return found, nil
}
