package repo

import (
	"context"
	"errors"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step5-manifest/manifest"
)

// Referrers returns descriptors of the manifests whose subject is d, in the order
// of their digests and after the digest after: up to n of them, and no more than
// fit into maxBytes as JSON. If artifactType is not "", only those of that type
// are returned. A subject that nobody refers to, or that is not there, has none.
func (s *Store) Referrers(ctx context.Context, name ref.Name, d digest.Digest, artifactType string, after digest.Digest, n, maxBytes int) (found []oci.Descriptor, more bool, err error) {
	if err := s.completeReferrers(ctx, name); err != nil {
		return nil, false, err
	}
	prefix := referrersOf(name, d)
	start := ""
	if !after.IsZero() {
		start = prefix + digestPath(after) + "/link"
	}
	size := 0
	for info, err := range s.bucket.List(ctx, prefix, start, false) {
		if err != nil {
			return nil, false, err
		}
		referrer, ok := linkedDigest(info.Key)
		if !ok {
			continue
		}
		desc, err := s.referrer(ctx, name, referrer)
		if errors.Is(err, bucket.ErrNotExist) || errors.Is(err, manifest.ErrInvalid) {
			continue // deleted just now, or half of a deletion that a crash cut
		}
		if err != nil {
			return nil, false, err
		}
		if artifactType != "" && desc.ArtifactType != artifactType {
			continue
		}
		size += approximateSize(desc)
		if len(found) == n || size > maxBytes && len(found) > 0 {
			return found, true, nil
		}
		found = append(found, desc)
	}
	return found, false, nil
}

// referrer returns the descriptor of a manifest with what a list of referrers
// shows of it.
func (s *Store) referrer(ctx context.Context, name ref.Name, d digest.Digest) (oci.Descriptor, error) {
	c, err := s.load(ctx, manifestID{name, ref.ByDigest(d)})
	if err != nil {
		return oci.Descriptor{}, err
	}
	m, err := manifest.Parse("", c.raw)
	if err != nil {
		return oci.Descriptor{}, err
	}
	return m.Referrer(d, c.desc.Size), nil
}

// approximateSize is about what a descriptor takes as JSON, in bytes.
func approximateSize(d oci.Descriptor) int {
	n := 128 + len(d.MediaType) + len(d.Digest.String()) + len(d.ArtifactType)
	for k, v := range d.Annotations {
		n += len(k) + len(v) + 8
	}
	return n
}

// completeFromStart returns the change that marks the referrers of a new
// repository as complete; none if it is marked, or is not new.
func (s *Store) completeFromStart(ctx context.Context, name ref.Name) ([]bucket.Change, error) {
	if _, known := s.whole.get(name); known {
		return nil, nil
	}
	if complete, err := s.isComplete(ctx, name); complete || err != nil {
		return nil, err
	}
	for _, err := range s.bucket.List(ctx, revisionsPrefix(name), "", false) {
		if err == nil && s.remember {
			s.whole.put(name, false, 0)
		}
		return nil, err
	}
	return []bucket.Change{{Key: completeKey(name)}}, nil
}

// isComplete tells whether no referrer is missing from the repository's index.
// Once that is so it stays so.
func (s *Store) isComplete(ctx context.Context, name ref.Name) (bool, error) {
	if complete, _ := s.whole.get(name); complete {
		return true, nil
	}
	_, err := s.bucket.Stat(ctx, completeKey(name))
	if errors.Is(err, bucket.ErrNotExist) {
		return false, nil
	}
	if err == nil && s.remember {
		s.whole.put(name, true, 0)
	}
	return err == nil, err
}

// completeReferrers makes sure that no referrer is missing from the index of the
// repository: another program, which does not know of it, may have written the
// manifests.
func (s *Store) completeReferrers(ctx context.Context, name ref.Name) error {
	if complete, err := s.isComplete(ctx, name); complete || err != nil {
		return err
	}
	return s.buildReferrers(ctx, name)
}

func (s *Store) buildReferrers(ctx context.Context, name ref.Name) error {
	lock := s.repositories.of(name.String())
	lock.Lock()
	defer lock.Unlock()
	var changes []bucket.Change
	isRepository := false
	for info, err := range s.bucket.List(ctx, revisionsPrefix(name), "", false) {
		if err != nil {
			return err
		}
		isRepository = true
		d, ok := linkedDigest(info.Key)
		if !ok {
			continue
		}
		subject, err := s.subject(ctx, d)
		if err != nil {
			return err
		}
		if subject.IsZero() {
			continue
		}
		link, err := s.link(ctx, referrerKey(name, subject, d), d)
		if err != nil {
			return err
		}
		changes = append(changes, link...)
	}
	if !isRepository {
		return nil
	}
	if err := s.bucket.Write(ctx, changes...); err != nil {
		return err
	}
	return s.bucket.Write(ctx, bucket.Change{Key: completeKey(name)})
}

// subject is what the stored manifest d has as its subject; zero if it has none,
// or cannot be read as a manifest.
func (s *Store) subject(ctx context.Context, d digest.Digest) (digest.Digest, error) {
	raw, err := s.readManifest(ctx, d)
	if errors.Is(err, bucket.ErrNotExist) || errors.Is(err, digest.ErrMismatch) {
		return digest.Digest{}, nil
	}
	if err != nil {
		return digest.Digest{}, err
	}
	m, err := manifest.Parse("", raw)
	if err != nil || m.Subject == nil {
		return digest.Digest{}, nil
	}
	return m.Subject.Digest, nil
}
