package repo

import (
	"context"
	"errors"
	"fmt"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step5-manifest/manifest"
)

// manifestID is how a client refers to a manifest.
type manifestID struct {
	name      ref.Name
	reference ref.TagOrDigest
}

// cached is a manifest that was read and found to be what its digest names.
type cached struct {
	desc oci.Descriptor
	raw  []byte
}

// maxStored is how large a manifest may be that is read back: another registry
// may have accepted larger ones than this one does.
const maxStored = 64 << 20

// Manifest returns what a tag or digest refers to in the repository: its media
// type, digest and size, and its exact bytes, which the caller does not change.
// ErrManifestUnknown, ErrNameUnknown.
func (s *Store) Manifest(ctx context.Context, name ref.Name, reference ref.TagOrDigest) (oci.Descriptor, []byte, error) {
	id := manifestID{name, reference}
	if c, ok := s.manifests.get(id); ok {
		s.asked.hits.Add(1)
		return c.desc, c.raw, nil
	}
	s.asked.misses.Add(1)
	c, err := s.load(ctx, id)
	if errors.Is(err, bucket.ErrNotExist) {
		err = s.unknown(ctx, name, ErrManifestUnknown)
	}
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	return c.desc, c.raw, nil
}

// load reads a manifest and remembers it. The locks keep a change from being
// overtaken by what was read before it.
func (s *Store) load(ctx context.Context, id manifestID) (*cached, error) {
	defer s.lockShared(id.name)()
	if tag, ok := id.reference.Tag(); ok {
		lock := s.tags.of(id.name.String(), tag.String())
		lock.Lock()
		defer lock.Unlock()
		d, _, err := s.readLink(ctx, tagKey(id.name, tag))
		if err != nil {
			return nil, err
		}
		c, err := s.revision(ctx, id.name, d)
		if err == nil {
			s.keep(id, c)
		}
		return c, err
	}
	d, _ := id.reference.Digest()
	return s.revision(ctx, id.name, d)
}

// revision returns the manifest d of the repository, which is locked.
// bucket.ErrNotExist.
func (s *Store) revision(ctx context.Context, name ref.Name, d digest.Digest) (*cached, error) {
	id := manifestID{name, ref.ByDigest(d)}
	if c, ok := s.manifests.get(id); ok {
		return c, nil
	}
	if _, err := s.bucket.Stat(ctx, revisionKey(name, d)); err != nil {
		return nil, err
	}
	raw, err := s.readManifest(ctx, d)
	if err != nil {
		return nil, err
	}
	c := &cached{oci.Descriptor{MediaType: manifest.MediaType(raw), Digest: d, Size: int64(len(raw))}, raw}
	s.keep(id, c)
	return c, nil
}

// readManifest reads the bytes of d and holds them against it: they are about to
// be remembered, and served many times.
func (s *Store) readManifest(ctx context.Context, d digest.Digest) ([]byte, error) {
	o, err := s.blobs.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	if o.Info().Size > maxStored {
		return nil, fmt.Errorf("repo: manifest %s is too large to serve", d)
	}
	raw, err := readAll(o)
	if err != nil {
		return nil, err
	}
	if got := d.Algorithm().FromBytes(raw); got != d {
		return nil, fmt.Errorf("repo: stored manifest is damaged: %w: got %s, want %s", digest.ErrMismatch, got, d)
	}
	return raw, nil
}

func readAll(o bucket.Object) ([]byte, error) {
	raw := make([]byte, o.Info().Size)
	for n := 0; n < len(raw); {
		m, err := o.Read(raw[n:])
		if n += m; err != nil && n < len(raw) {
			return nil, err
		}
	}
	return raw, nil
}

func (s *Store) keep(id manifestID, c *cached) {
	if s.remember {
		s.manifests.put(id, c, len(c.raw))
	}
}
