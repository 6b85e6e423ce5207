package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step6-client/client"
)

// Repository is one repository of a registry, to copy from and to. References are
// tags and digests.
type Repository struct {
	client *client.Client
	name   ref.Name
	from   []ref.Name // what blobs are mounted from
}

// NewRepository is the repository of that name. Nothing is sent yet.
func NewRepository(c *client.Client, name ref.Name) *Repository {
	return &Repository{client: c, name: name}
}

// mounting is dst, told where in its own registry the blobs of src are.
func mounting(dst Target, src Source) Target {
	to, isRepository := dst.(*Repository)
	from, fromRepository := src.(*Repository)
	if !isRepository || !fromRepository || to.client.Origin() != from.client.Origin() || to.name == from.name {
		return dst
	}
	return &Repository{to.client, to.name, append([]ref.Name{from.name}, to.from...)}
}

// Resolve implements Source.
func (r *Repository) Resolve(ctx context.Context, reference string) (oci.Descriptor, error) {
	parsed, err := ref.ParseTagOrDigest(reference)
	if err != nil {
		return oci.Descriptor{}, err
	}
	return r.client.Resolve(ctx, r.name, parsed)
}

// Manifest implements Source.
func (r *Repository) Manifest(ctx context.Context, d oci.Descriptor) ([]byte, error) {
	_, raw, err := r.client.Manifest(ctx, r.name, ref.ByDigest(d.Digest))
	return raw, err
}

// OpenBlob implements Source. Whether the blob is there is found out by reading it.
func (r *Repository) OpenBlob(ctx context.Context, d oci.Descriptor) (io.ReadSeekCloser, error) {
	return r.client.ReadBlob(ctx, r.name, d, false), nil
}

// OpenUnchecked implements Unchecked.
func (r *Repository) OpenUnchecked(ctx context.Context, d oci.Descriptor) (io.ReadSeekCloser, error) {
	return r.client.ReadBlob(ctx, r.name, d, true), nil
}

// PullBlob implements Puller.
func (r *Repository) PullBlob(ctx context.Context, d oci.Descriptor, to *cas.Store) error {
	return r.client.PullBlob(ctx, r.name, d, to)
}

// Referrers implements Referrers.
func (r *Repository) Referrers(ctx context.Context, d digest.Digest) ([]oci.Descriptor, error) {
	list, more, err := r.client.Referrers(ctx, r.name, d, "", digest.Digest{}, maxNodes, math.MaxInt)
	if err == nil && more {
		err = ErrTooMuch
	}
	return list, err
}

// HasTree implements Target. A registry takes a manifest only when it has what that
// leads to, so to ask for the manifest is enough.
func (r *Repository) HasTree(ctx context.Context, d oci.Descriptor) (bool, error) {
	_, err := r.client.Resolve(ctx, r.name, ref.ByDigest(d.Digest))
	switch {
	case err == nil:
		return true, nil
	case isUnknown(err), errors.Is(err, ocierr.Denied), errors.Is(err, ocierr.Unauthorized):
		return false, nil // some let one push who may not look
	}
	return false, err
}

// PutBlob implements Target.
func (r *Repository) PutBlob(ctx context.Context, d oci.Descriptor, open func(offset int64) (io.ReadCloser, error)) error {
	return r.client.PushBlob(ctx, r.name, d, open, r.from...)
}

// PutManifest implements Target. A name that is a digest must be the manifest's own
// (ErrDigest).
func (r *Repository) PutManifest(ctx context.Context, d oci.Descriptor, raw []byte, name string) error {
	m, err := manifest.Parse(d.MediaType, raw)
	if err != nil {
		return err
	}
	p := repo.Push{Digest: d.Digest, Raw: raw, Manifest: m}
	if name != "" {
		reference, err := ref.ParseTagOrDigest(name)
		if err != nil {
			return err
		}
		switch tag, ok := reference.Tag(); {
		case ok:
			p.Tags = []ref.Tag{tag}
		case reference != ref.ByDigest(d.Digest):
			return fmt.Errorf("%w: %s cannot be called %s", ErrDigest, d.Digest, reference)
		}
	}
	return r.client.PushManifest(ctx, r.name, p)
}
