package repo

import (
	"context"
	"errors"
	"slices"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/cas"
)

// OpenBlob returns a blob of the repository, which the caller closes.
// ErrBlobUnknown, ErrNameUnknown.
func (s *Store) OpenBlob(ctx context.Context, name ref.Name, d digest.Digest) (bucket.Object, error) {
	if err := s.knownLink(ctx, name, d); err != nil {
		return nil, s.blobUnknown(ctx, name, err)
	}
	o, err := s.blobs.Open(ctx, d)
	return o, s.blobUnknown(ctx, name, err)
}

// StatBlob returns the size in bytes of a blob of the repository. ErrBlobUnknown,
// ErrNameUnknown.
func (s *Store) StatBlob(ctx context.Context, name ref.Name, d digest.Digest) (int64, error) {
	size, err := s.statBlob(ctx, name, d)
	return size, s.blobUnknown(ctx, name, err)
}

// statBlob is StatBlob with the errors of package bucket.
func (s *Store) statBlob(ctx context.Context, name ref.Name, d digest.Digest) (int64, error) {
	if err := s.linked(ctx, name, d); err != nil {
		return 0, err
	}
	info, err := s.blobs.Stat(ctx, d)
	return info.Size, err
}

// blobID is a blob of a repository.
type blobID struct {
	name   ref.Name
	digest digest.Digest
}

// knownLink is linked for who does not hold the repository's lock; what was found is
// remembered.
func (s *Store) knownLink(ctx context.Context, name ref.Name, d digest.Digest) error {
	id := blobID{name, d}
	if _, ok := s.known.get(id); ok {
		return nil
	}
	defer s.lockShared(name)()
	err := s.linked(ctx, name, d)
	if err == nil && s.remember {
		s.known.put(id, struct{}{}, 0)
	}
	return err
}

// linked returns nil if the repository has a link to the blob, else
// bucket.ErrNotExist.
func (s *Store) linked(ctx context.Context, name ref.Name, d digest.Digest) error {
	_, err := s.bucket.Stat(ctx, layerKey(name, d))
	return err
}

func (s *Store) blobUnknown(ctx context.Context, name ref.Name, err error) error {
	if errors.Is(err, bucket.ErrNotExist) {
		return s.unknown(ctx, name, ErrBlobUnknown)
	}
	return err
}

// CommitBlob publishes what w took in as the blob d of the repository. It is an
// upload.Commit.
func (s *Store) CommitBlob(ctx context.Context, name ref.Name, w *cas.Writer, d digest.Digest) error {
	e := Event{Action: PushBlob, Name: name, Digest: d, Size: w.Size()}
	if err := s.observe(ctx, e); err != nil {
		return err
	}
	defer s.lockShared(name)()
	also, err := s.link(ctx, layerKey(name, d), d)
	if err != nil {
		return err
	}
	told, settled := s.record(ctx, e)
	err = s.blobs.Commit(ctx, w, d, slices.Concat(told, also)...)
	settled(err)
	if err != nil {
		s.noticeNew(ctx, name)
		return err
	}
	s.published(name, d)
	return nil
}

// MountBlob makes a blob of the repository from one of name's, without a copy.
// The zero from stands for any repository that got the blob lately. If there is
// none that has it, and that the caller may pull from, the error is
// bucket.ErrNotExist.
func (s *Store) MountBlob(ctx context.Context, name, from ref.Name, d digest.Digest) error {
	from, size, err := s.findBlob(ctx, from, d)
	if err != nil {
		return err
	}
	e := Event{Action: MountBlob, Name: name, From: from, Digest: d, Size: size}
	if err := s.observe(ctx, e); err != nil {
		return err
	}
	defer s.lockShared(name)()
	change, err := s.link(ctx, layerKey(name, d), d)
	if err != nil {
		return err
	}
	told, settled := s.record(ctx, e)
	err = s.bucket.Write(ctx, slices.Concat(told, change)...)
	settled(err)
	if err != nil {
		s.noticeNew(ctx, name)
		return err
	}
	s.published(name, d)
	return nil
}

// findBlob returns the size of a blob of from, or of another repository that got
// it lately if from is zero, and which one that is. It never walks over the repositories.
func (s *Store) findBlob(ctx context.Context, from ref.Name, d digest.Digest) (at ref.Name, size int64, err error) {
	candidates := []ref.Name{from}
	if from.IsZero() {
		candidates, _ = s.recent.get(d)
	}
	for _, name := range candidates {
		if s.opts.CanPull != nil && !s.opts.CanPull(ctx, name) {
			continue
		}
		size, err := s.statBlob(ctx, name, d)
		if !errors.Is(err, bucket.ErrNotExist) {
			return name, size, err
		}
	}
	return ref.Name{}, 0, bucket.ErrNotExist
}

// maxRecent is how many repositories are remembered for one blob.
const maxRecent = 8

// published notes that the repository has got the blob.
func (s *Store) published(name ref.Name, d digest.Digest) {
	names, _ := s.recent.get(d)
	if !slices.Contains(names, name) {
		names = append([]ref.Name{name}, names[:min(len(names), maxRecent-1)]...)
		s.recent.put(d, names, maxRecent*32)
	}
	s.catalog.add(name.String())
}

// DeleteBlob takes a blob out of the repository. Its bytes stay for the
// repositories that still have it. ErrBlobUnknown, ErrNameUnknown.
func (s *Store) DeleteBlob(ctx context.Context, name ref.Name, d digest.Digest) error {
	lock := s.repositories.of(name.String())
	lock.Lock()
	defer lock.Unlock()
	if err := s.linked(ctx, name, d); err != nil {
		return s.blobUnknown(ctx, name, err)
	}
	e := Event{Action: DeleteBlob, Name: name, Digest: d}
	if err := s.observe(ctx, e); err != nil {
		return err
	}
	defer s.noticeEmpty(ctx, name)
	s.known.remove(blobID{name, d})
	return s.remove(ctx, e, nil, []bucket.Change{{Key: layerKey(name, d), Delete: true}})
}

// link returns the change that makes key a link to d; none if it is one.
func (s *Store) link(ctx context.Context, key string, d digest.Digest) ([]bucket.Change, error) {
	switch got, _, err := s.readLink(ctx, key); {
	case err == nil && got == d:
		return nil, nil
	case err != nil && !errors.Is(err, bucket.ErrNotExist) && !errors.Is(err, digest.ErrInvalid):
		return nil, err
	}
	return []bucket.Change{{Key: key, Data: []byte(d.String())}}, nil
}

// maxLink is more than any digest takes, in bytes.
const maxLink = 1 << 10

// readLink returns the digest that a link holds, and the link's version.
// bucket.ErrNotExist; digest.ErrInvalid if it holds something else.
func (s *Store) readLink(ctx context.Context, key string) (digest.Digest, string, error) {
	raw, info, err := bucket.ReadAll(ctx, s.bucket, key, maxLink)
	if info.Size > maxLink {
		return digest.Digest{}, info.Version, digest.ErrInvalid
	}
	if err != nil {
		return digest.Digest{}, "", err
	}
	d, err := digest.Parse(string(raw))
	return d, info.Version, err
}

// lockShared keeps others from taking away what the repository has, until the
// function that it returns is called.
func (s *Store) lockShared(name ref.Name) (unlock func()) {
	lock := s.repositories.of(name.String())
	lock.RLock()
	return lock.RUnlock
}
