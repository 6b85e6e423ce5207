package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step5-manifest/manifest"
)

// Push is a manifest on its way into a repository.
type Push struct {
	Digest digest.Digest
	// Raw is what Manifest was parsed from.
	Raw      []byte
	Manifest *manifest.Manifest
	// Tags will refer to it.
	Tags []ref.Tag
	// If must hold for each of the tags, or for the manifest itself if there are
	// none. nil always holds.
	If Condition
}

// Condition is asked with what a tag refers to now; the zero Digest stands for
// nothing. It is called while nobody else can change the tag.
type Condition func(current digest.Digest) bool

// MissingError says what a manifest refers to that is not in the repository.
type MissingError struct{ Missing []oci.Descriptor }

// Error names the first digest.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%v: %s and %d more", ErrReferenceUnknown, e.Missing[0].Digest, len(e.Missing)-1)
}

// Is makes errors.Is(e, ErrReferenceUnknown) true.
func (e *MissingError) Is(target error) bool { return target == ErrReferenceUnknown }

// PushManifest stores a manifest in the repository and points tags at it. All
// that it refers to must be there (ErrReferenceUnknown) in the size that it says
// (manifest.ErrInvalid); the tags must be in the state of p.If (ErrCondition).
func (s *Store) PushManifest(ctx context.Context, name ref.Name, p Push) error {
	defer s.lockShared(name)()
	defer s.lockTags(name, p.Tags)()
	versions, err := s.checkCondition(ctx, name, p)
	if err != nil {
		return err
	}
	if err := s.checkChildren(ctx, name, p.Manifest); err != nil {
		return err
	}
	e := p.event(name)
	if err := s.observe(ctx, e); err != nil {
		return err
	}
	links, err := s.revisionLinks(ctx, name, p)
	if err != nil {
		return err
	}
	moves, err := s.tagMoves(ctx, name, p, versions)
	if err != nil {
		return err
	}
	told, settled := s.record(ctx, e)
	err = s.blobs.PutBytes(ctx, p.Digest, p.Raw, slices.Concat(told, links, moves)...)
	settled(err)
	if err != nil {
		s.noticeNew(ctx, name)
		s.forgetTags(name, p.Tags)
		if errors.Is(err, bucket.ErrChanged) {
			return ErrCondition
		}
		return err
	}
	c := &cached{oci.Descriptor{MediaType: p.Manifest.MediaType, Digest: p.Digest, Size: int64(len(p.Raw))}, p.Raw}
	s.keep(manifestID{name, ref.ByDigest(p.Digest)}, c)
	s.catalog.add(name.String())
	for _, tag := range p.Tags {
		s.keep(manifestID{name, ref.ByTag(tag)}, c)
		s.addTag(name, tag)
	}
	return nil
}

func (p Push) event(name ref.Name) Event {
	return Event{
		Action: PushManifest, Name: name, Digest: p.Digest, Size: int64(len(p.Raw)), Tags: p.Tags,
		MediaType: p.Manifest.MediaType, Subject: p.Manifest.Subject, Children: slices.Collect(p.Manifest.Children()),
	}
}

// revisionLinks are the changes that make p a manifest of the repository, the
// one that counts last: where a crash leaves only some of them, the index of
// referrers names a manifest that is not there rather than lack one that is.
func (s *Store) revisionLinks(ctx context.Context, name ref.Name, p Push) ([]bucket.Change, error) {
	changes, err := s.completeFromStart(ctx, name)
	if err != nil {
		return nil, err
	}
	if p.Manifest.Subject != nil {
		link, err := s.link(ctx, referrerKey(name, p.Manifest.Subject.Digest, p.Digest), p.Digest)
		if err != nil {
			return nil, err
		}
		changes = append(changes, link...)
	}
	link, err := s.link(ctx, revisionKey(name, p.Digest), p.Digest)
	return append(changes, link...), err
}

// tagMoves are the changes that point the tags at the manifest, each if it is
// still as it was when the condition was checked. They come last, when the
// manifest is safe: a crash must not leave a tag pointing at nothing, where it
// pointed at something.
func (s *Store) tagMoves(ctx context.Context, name ref.Name, p Push, versions []bucket.Condition) ([]bucket.Change, error) {
	var changes []bucket.Change
	for i, tag := range p.Tags {
		// The history first: a crash may leave an entry too many, but no move that
		// nobody knows of. The index last: an index alone would look like a tag.
		changes = append(changes, s.historyEntry(ctx, name, tag, p.Digest))
		changes = append(changes, bucket.Change{Key: tagKey(name, tag), Data: []byte(p.Digest.String()), If: versions[i]})
		index, err := s.link(ctx, tagIndexKey(name, tag, p.Digest), p.Digest)
		if err != nil {
			return nil, err
		}
		changes = append(changes, index...)
	}
	for i := range changes {
		changes[i].Last = true
	}
	return changes, nil
}

// lockTags takes the locks of all tags, in an order that all agree on.
func (s *Store) lockTags(name ref.Name, tags []ref.Tag) (unlock func()) {
	var indexes []int
	for _, tag := range tags {
		indexes = append(indexes, s.tags.index(name.String(), tag.String()))
	}
	slices.Sort(indexes)
	indexes = slices.Compact(indexes)
	for _, i := range indexes {
		s.tags.locks[i].Lock()
	}
	return func() {
		for _, i := range indexes {
			s.tags.locks[i].Unlock()
		}
	}
}

// checkCondition returns, for each tag, the state in which the condition was
// found to hold.
func (s *Store) checkCondition(ctx context.Context, name ref.Name, p Push) ([]bucket.Condition, error) {
	versions := make([]bucket.Condition, len(p.Tags))
	if p.If == nil {
		return versions, nil
	}
	if len(p.Tags) == 0 {
		var current digest.Digest
		switch _, err := s.bucket.Stat(ctx, revisionKey(name, p.Digest)); {
		case err == nil:
			current = p.Digest
		case !errors.Is(err, bucket.ErrNotExist):
			return nil, err
		}
		if !p.If(current) {
			return nil, ErrCondition
		}
	}
	for i, tag := range p.Tags {
		current, version, err := s.readLink(ctx, tagKey(name, tag))
		switch {
		case errors.Is(err, bucket.ErrNotExist):
			versions[i] = bucket.Absent
		case err != nil && !errors.Is(err, digest.ErrInvalid):
			return nil, err
		default:
			versions[i] = bucket.IfVersion(version)
		}
		if !p.If(current) {
			return nil, ErrCondition
		}
	}
	return versions, nil
}

// maxReported is how many missing children an error names.
const maxReported = 20

// checkChildren sees that all is there that the manifest refers to.
func (s *Store) checkChildren(ctx context.Context, name ref.Name, m *manifest.Manifest) error {
	if leaser, ok := s.blobs.(Leaser); ok {
		var digests []digest.Digest
		for d := range m.Children() {
			digests = append(digests, d.Digest)
		}
		if err := leaser.Lease(ctx, digests); err != nil {
			return err
		}
	}
	var missing []oci.Descriptor
	for d := range m.Children() {
		size, err := s.statChild(ctx, name, d, m.Manifests != nil)
		switch {
		case errors.Is(err, bucket.ErrNotExist):
			if !s.mayMiss(d, m.Manifests != nil) && len(missing) < maxReported {
				missing = append(missing, d)
			}
		case err != nil:
			return err
		case size != d.Size:
			return &manifest.Error{Faults: []oci.Fault{{
				Path: d.Digest.String(), Reason: fmt.Sprintf("said to have %d bytes, but has %d", d.Size, size), Must: true}}}
		}
	}
	if len(missing) > 0 {
		return &MissingError{missing}
	}
	return nil
}

// statChild returns the size of a child. That of an index may be a manifest or,
// as build caches have it, a blob.
func (s *Store) statChild(ctx context.Context, name ref.Name, d oci.Descriptor, inIndex bool) (int64, error) {
	if inIndex {
		_, err := s.bucket.Stat(ctx, revisionKey(name, d.Digest))
		if err == nil {
			info, err := s.blobs.Stat(ctx, d.Digest)
			return info.Size, err
		}
		if !errors.Is(err, bucket.ErrNotExist) {
			return 0, err
		}
	}
	return s.statBlob(ctx, name, d.Digest)
}

// mayMiss tells whether a manifest is taken without this child.
func (s *Store) mayMiss(d oci.Descriptor, inIndex bool) bool {
	switch s.opts.Missing {
	case AllowMissing:
		return true
	case AllowMissingInIndex:
		if inIndex {
			return true
		}
	}
	return oci.IsNonDistributable(d.MediaType)
}
