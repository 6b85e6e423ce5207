package repo

import (
	"context"
	"errors"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step5-manifest/manifest"
)

// DeleteTag removes a tag; what it referred to stays. ErrManifestUnknown,
// ErrNameUnknown.
func (s *Store) DeleteTag(ctx context.Context, name ref.Name, tag ref.Tag) error {
	defer s.lockShared(name)()
	defer s.lockTags(name, []ref.Tag{tag})()
	if _, err := s.bucket.Stat(ctx, tagKey(name, tag)); err != nil {
		if errors.Is(err, bucket.ErrNotExist) {
			return s.unknown(ctx, name, ErrManifestUnknown)
		}
		return err
	}
	e := Event{Action: DeleteTag, Name: name, Tags: []ref.Tag{tag}}
	if err := s.observe(ctx, e); err != nil {
		return err
	}
	return s.dropTags(ctx, name, e.Tags, e)
}

// dropTags deletes all that there is of the tags, which are locked, and notes it
// in their histories. e is what the outbox is to be told of, the zero Event if nothing.
func (s *Store) dropTags(ctx context.Context, name ref.Name, tags []ref.Tag, e Event) error {
	var deletions, notes []bucket.Change
	for _, tag := range tags {
		for info, err := range s.bucket.List(ctx, tagPrefix(name, tag), "", false) {
			if err != nil {
				return err
			}
			if info.Key != tagKey(name, tag) {
				deletions = append(deletions, bucket.Change{Key: info.Key, Delete: true})
			}
		}
		// The link comes last: a crash leaves the tag, or nothing of it.
		deletions = append(deletions, bucket.Change{Key: tagKey(name, tag), Delete: true})
		notes = append(notes, s.historyEntry(ctx, name, tag, digest.Digest{}))
	}
	if err := s.remove(ctx, e, notes, deletions); err != nil {
		s.forgetTags(name, tags)
		return err
	}
	for _, tag := range tags {
		s.manifests.remove(manifestID{name, ref.ByTag(tag)})
		s.removeTag(name, tag)
	}
	return nil
}

// forgetTags makes the next reader of the tags, which are locked, look into the
// bucket: a write that failed may have changed some of them.
func (s *Store) forgetTags(name ref.Name, tags []ref.Tag) {
	for _, tag := range tags {
		s.manifests.remove(manifestID{name, ref.ByTag(tag)})
	}
	s.tagLists.remove(name)
}

// DeleteManifest removes a manifest and all tags that refer to it. Its bytes stay
// for the repositories that still have it. ErrManifestUnknown, ErrNameUnknown.
func (s *Store) DeleteManifest(ctx context.Context, name ref.Name, d digest.Digest) error {
	lock := s.repositories.of(name.String())
	lock.Lock()
	defer lock.Unlock()
	if _, err := s.bucket.Stat(ctx, revisionKey(name, d)); err != nil {
		if errors.Is(err, bucket.ErrNotExist) {
			return s.unknown(ctx, name, ErrManifestUnknown)
		}
		return err
	}
	tags, err := s.tagsOf(ctx, name, d)
	if err != nil {
		return err
	}
	e := Event{Action: DeleteManifest, Name: name, Digest: d, Tags: tags}
	if err := s.observe(ctx, e); err != nil {
		return err
	}
	if len(tags) > 0 { // first, so e is told of with the last of it
		if err := s.dropTags(ctx, name, tags, Event{}); err != nil {
			return err
		}
	}
	changes := []bucket.Change{{Key: revisionKey(name, d), Delete: true}}
	if raw, err := s.readManifest(ctx, d); err == nil {
		if m, err := manifest.Parse("", raw); err == nil && m.Subject != nil {
			changes = append(changes, bucket.Change{Key: referrerKey(name, m.Subject.Digest, d), Delete: true})
		}
	}
	s.manifests.remove(manifestID{name, ref.ByDigest(d)})
	defer s.noticeEmpty(ctx, name)
	return s.remove(ctx, e, nil, changes)
}

// tagsOf returns the tags that refer to d. The repository is locked, so none of
// them moves.
func (s *Store) tagsOf(ctx context.Context, name ref.Name, d digest.Digest) ([]ref.Tag, error) {
	var tags []ref.Tag
	for after := ""; ; {
		names, more, err := s.tagPage(ctx, name, after, maxChunk)
		if err != nil {
			return nil, err
		}
		for _, text := range names {
			tag, err := ref.ParseTag(text)
			if err != nil {
				continue
			}
			switch got, _, err := s.readLink(ctx, tagKey(name, tag)); {
			case err == nil && got == d:
				tags = append(tags, tag)
			case err != nil && !errors.Is(err, bucket.ErrNotExist) && !errors.Is(err, digest.ErrInvalid):
				return nil, err
			}
		}
		if !more {
			return tags, nil
		}
		after = names[len(names)-1]
	}
}
