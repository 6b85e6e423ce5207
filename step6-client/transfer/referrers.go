package transfer

import (
	"context"
	"errors"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step6-client/layout"
)

// suffixes are those of the tags by which Cosign finds what belongs to a manifest.
var suffixes = []string{".sig", ".att", ".sbom"}

// referrers copies what refers to all that was walked, and what refers to that.
func (c *copier) referrers(ctx context.Context, from, to string) error {
	for range maxDepth {
		c.mu.Lock()
		manifests := slices.Clone(c.manifests)
		c.manifests = nil
		c.mu.Unlock()
		if len(manifests) == 0 {
			return nil
		}
		for _, d := range manifests {
			if err := c.referrersOf(ctx, d); err != nil {
				return err
			}
			if err := c.signatures(ctx, d.Digest, from, to); err != nil {
				return err
			}
		}
	}
	return ErrTooMuch
}

func (c *copier) referrersOf(ctx context.Context, d oci.Descriptor) error {
	src, ok := c.src.(Referrers)
	if !ok {
		return nil
	}
	list, err := src.Referrers(ctx, d.Digest)
	if err != nil {
		return err
	}
	for _, r := range list {
		r.Annotations, r.ArtifactType = nil, ""
		if err := c.tree(ctx, r, 0); err != nil {
			return err
		}
	}
	return nil
}

// signatures copies the tags that belong to d.
func (c *copier) signatures(ctx context.Context, d digest.Digest, from, to string) error {
	for _, tag := range signatureTags(d) {
		found, err := c.src.Resolve(ctx, beside(from, tag))
		if isUnknown(err) {
			continue
		}
		if err == nil {
			err = c.tree(ctx, found, 0)
		}
		if err == nil {
			err = c.name(ctx, found, beside(to, tag))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// signatureTags are those that may belong to d.
func signatureTags(d digest.Digest) (tags []string) {
	for _, suffix := range suffixes {
		tags = append(tags, string(d.Algorithm())+"-"+d.Hex()+suffix)
	}
	return tags
}

// Signatures returns the tags beside the image called from that are there and belong to
// d, as Cosign makes them.
func Signatures(ctx context.Context, src Source, from string, d digest.Digest) (tags []string, err error) {
	for _, tag := range signatureTags(d) {
		_, err := src.Resolve(ctx, beside(from, tag))
		switch {
		case err == nil:
			tags = append(tags, tag)
		case !isUnknown(err):
			return nil, err
		}
	}
	return tags, nil
}

// beside is another tag in the repository of a name: a name that holds a colon is
// taken for a full reference, any other for a tag.
func beside(name, tag string) string {
	name, _, _ = strings.Cut(name, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') && !isDigest(name) {
		return name[:colon+1] + tag
	}
	return tag
}

func isDigest(s string) bool {
	_, err := digest.Parse(s)
	return err == nil
}

func isUnknown(err error) bool {
	return errors.Is(err, layout.ErrUnknown) || errors.Is(err, ocierr.ManifestUnknown) || errors.Is(err, ocierr.NameUnknown)
}
