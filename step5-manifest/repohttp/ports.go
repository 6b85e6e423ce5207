package repohttp

import (
	"context"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step3-api/pullhttp"
	"shibafu.dev/step4-upload/uploadhttp"
	"shibafu.dev/step5-manifest/repo"
)

// Ports is a repo.Store as the handlers of the earlier steps want it: the same
// methods, with errors in the specification's words.
type Ports struct{ Store *repo.Store }

var (
	_ pullhttp.Blobs       = Ports{}
	_ pullhttp.Manifests   = Ports{}
	_ pullhttp.BlobDeleter = Ports{}
	_ uploadhttp.Mounter   = Ports{}
)

// OpenBlob implements pullhttp.Blobs.
func (p Ports) OpenBlob(ctx context.Context, name ref.Name, d digest.Digest) (bucket.Object, error) {
	o, err := p.Store.OpenBlob(ctx, name, d)
	return o, reason(err)
}

// StatBlob implements pullhttp.Blobs.
func (p Ports) StatBlob(ctx context.Context, name ref.Name, d digest.Digest) (int64, error) {
	size, err := p.Store.StatBlob(ctx, name, d)
	return size, reason(err)
}

// Manifest implements pullhttp.Manifests.
func (p Ports) Manifest(ctx context.Context, name ref.Name, reference ref.TagOrDigest) (oci.Descriptor, []byte, error) {
	desc, raw, err := p.Store.Manifest(ctx, name, reference)
	return desc, raw, reason(err)
}

// DeleteBlob implements pullhttp.BlobDeleter.
func (p Ports) DeleteBlob(ctx context.Context, name ref.Name, d digest.Digest) error {
	return reason(p.Store.DeleteBlob(ctx, name, d))
}

// MountBlob implements uploadhttp.Mounter.
func (p Ports) MountBlob(ctx context.Context, name, from ref.Name, d digest.Digest) error {
	return reason(p.Store.MountBlob(ctx, name, from, d))
}
