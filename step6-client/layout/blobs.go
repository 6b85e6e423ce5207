package layout

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step5-manifest/manifest"
)

// OpenBlob returns the bytes of d, which the caller closes. Read from their start to
// their end they are checked, and end with digest.ErrMismatch if they are not what d
// names. ErrUnknown.
func (l *Layout) OpenBlob(ctx context.Context, d oci.Descriptor) (io.ReadSeekCloser, error) {
	r, err := l.OpenUnchecked(ctx, d)
	if err != nil {
		return nil, err
	}
	return Verified(r, d), nil
}

// OpenUnchecked is OpenBlob for those who hash the bytes anyway. Their number is that
// of d.
func (l *Layout) OpenUnchecked(ctx context.Context, d oci.Descriptor) (io.ReadSeekCloser, error) {
	// What is not a plain file is not there for Stat, while to open it might wait for
	// whoever writes to a pipe.
	info, err := l.blobs.Stat(ctx, d.Digest)
	if errors.Is(err, bucket.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrUnknown, d.Digest)
	}
	if err != nil {
		return nil, err
	}
	if info.Size != d.Size {
		return nil, fmt.Errorf("%w: %s has %d bytes, not %d", digest.ErrMismatch, d.Digest, info.Size, d.Size)
	}
	return l.blobs.Open(ctx, d.Digest)
}

// Manifest returns the bytes of a manifest, which are what d names. ErrUnknown,
// digest.ErrMismatch.
func (l *Layout) Manifest(ctx context.Context, d oci.Descriptor) ([]byte, error) {
	if d.Size > manifest.MaxSize {
		return nil, fmt.Errorf("%w: manifest of %d bytes", manifest.ErrInvalid, d.Size)
	}
	r, err := l.OpenBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// HasTree tells whether a manifest is there with all that it leads to, but for the
// layers that nobody may pass on. The sizes are looked at, not the bytes.
func (l *Layout) HasTree(ctx context.Context, d oci.Descriptor) (bool, error) {
	whole := true
	w := &walker{layout: l, blob: func(d oci.Descriptor) error {
		info, err := l.blobs.Stat(ctx, d.Digest)
		if errors.Is(err, bucket.ErrNotExist) || err == nil && info.Size != d.Size {
			whole = oci.IsNonDistributable(d.MediaType) && whole
			return nil
		}
		return err
	}}
	err := w.manifest(ctx, d, 0)
	if errors.Is(err, ErrUnknown) || errors.Is(err, digest.ErrMismatch) {
		return false, nil
	}
	return whole, err
}

// PutBlob stores d, whose bytes open opens from an offset on; nothing happens if it
// is there. digest.ErrMismatch if they are not what d names.
func (l *Layout) PutBlob(ctx context.Context, d oci.Descriptor, open func(offset int64) (io.ReadCloser, error)) error {
	if info, err := l.blobs.Stat(ctx, d.Digest); err == nil && info.Size == d.Size {
		return nil
	}
	r, err := open(0)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := l.blobs.NewWriter(ctx, "copy-"+rand.Text(), d.Digest.Algorithm(), nil)
	if err != nil {
		return err
	}
	defer w.Cancel(context.WithoutCancel(ctx))
	n, err := w.Append(ctx, 0, io.LimitReader(r, d.Size+1))
	if err != nil {
		return err
	}
	if n != d.Size {
		return fmt.Errorf("%w: %s has not %d bytes", digest.ErrMismatch, d.Digest, d.Size)
	}
	return w.Commit(ctx, d.Digest)
}

// PutManifest stores a manifest, and makes name lead to it if that is not "". One
// that refers to another by its subject is listed without a name, so that it can be
// found. What it leads to should be there.
func (l *Layout) PutManifest(ctx context.Context, d oci.Descriptor, raw []byte, name string) error {
	if int64(len(raw)) != d.Size {
		return fmt.Errorf("%w: %s has not %d bytes", digest.ErrMismatch, d.Digest, d.Size)
	}
	m, err := manifest.Parse(d.MediaType, raw)
	if err != nil {
		return err
	}
	if err := l.blobs.PutBytes(ctx, d.Digest, raw); err != nil {
		return err
	}
	switch {
	case name != "":
		return l.SetName(ctx, name, d)
	case m.Subject != nil:
		return l.list(ctx, d)
	}
	return nil
}

// Referrers returns the manifests that index.json lists and whose subject is d.
func (l *Layout) Referrers(ctx context.Context, d digest.Digest) ([]oci.Descriptor, error) {
	entries, err := l.Entries(ctx)
	if err != nil {
		return nil, err
	}
	return FindReferrers(ctx, entries, d, l.Manifest)
}

// FindReferrers returns those of the entries whose subject is d. What read does not
// have, or cannot be read, refers to nothing.
func FindReferrers(ctx context.Context, entries []Entry, d digest.Digest, read func(context.Context, oci.Descriptor) ([]byte, error)) (found []oci.Descriptor, err error) {
	for _, e := range entries {
		raw, err := read(ctx, e.Descriptor)
		if err != nil {
			continue
		}
		m, err := manifest.Parse(e.Descriptor.MediaType, raw)
		if err == nil && m.Subject != nil && m.Subject.Digest == d {
			found = append(found, m.Referrer(e.Descriptor.Digest, e.Descriptor.Size))
		}
	}
	return found, ctx.Err()
}

func (l *Layout) parsed(ctx context.Context, d oci.Descriptor) (*manifest.Manifest, error) {
	raw, err := l.Manifest(ctx, d)
	if err != nil {
		return nil, err
	}
	return manifest.Parse(d.MediaType, raw)
}
