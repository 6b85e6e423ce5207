package repo

import (
	"context"
	"errors"
	"iter"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
)

// Tags returns up to n tags of the repository that come after the text after, in
// byte order, and whether there are more. ErrNameUnknown.
func (s *Store) Tags(ctx context.Context, name ref.Name, after string, n int) (tags []string, more bool, err error) {
	tags, more, err = s.tagPage(ctx, name, after, n)
	if err == nil && len(tags) == 0 {
		err = s.unknown(ctx, name, nil)
	}
	return tags, more, err
}

func (s *Store) tagPage(ctx context.Context, name ref.Name, after string, n int) ([]string, bool, error) {
	load := func() ([]string, error) { return s.loadTags(ctx, name) }
	if !s.remember {
		return new(nameList).page(after, n, load)
	}
	list := s.tagLists.getOrPut(name, func() *nameList { return new(nameList) })
	tags, more, err := list.page(after, n, load)
	s.tagLists.resize(name, list.size())
	return tags, more, err
}

// loadTags reads which tags there are. A folder without a link is what is left of
// a tag.
func (s *Store) loadTags(ctx context.Context, name ref.Name) ([]string, error) {
	var tags []string
	prefix := tagsPrefix(name)
	for info, err := range s.bucket.List(ctx, prefix, "", true) {
		if err != nil {
			return nil, err
		}
		tag, err := ref.ParseTag(strings.TrimSuffix(info.Key[len(prefix):], "/"))
		if err != nil {
			continue
		}
		switch _, err := s.bucket.Stat(ctx, tagKey(name, tag)); {
		case err == nil:
			tags = append(tags, tag.String())
		case !errors.Is(err, bucket.ErrNotExist):
			return nil, err
		}
	}
	return tags, nil
}

// Manifests yields the digest of each manifest of the repository, in no particular
// order; what is pushed or deleted meanwhile may be among them or not.
func (s *Store) Manifests(ctx context.Context, name ref.Name) iter.Seq2[digest.Digest, error] {
	return func(yield func(digest.Digest, error) bool) {
		for info, err := range s.bucket.List(ctx, revisionsPrefix(name), "", false) {
			d, ok := linkedDigest(info.Key)
			if err == nil && !ok {
				continue
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// addTag and removeTag keep the list of tags true, if it is remembered. They are
// called after the change was written: a list that is loaded later sees it.
func (s *Store) addTag(name ref.Name, tag ref.Tag) {
	if list, ok := s.tagLists.get(name); ok {
		s.tagLists.resize(name, list.add(tag.String()))
	}
}

func (s *Store) removeTag(name ref.Name, tag ref.Tag) {
	if list, ok := s.tagLists.get(name); ok {
		list.remove(tag.String())
	}
}

// Repositories returns up to n names of repositories that come after the text
// after, in byte order, and whether there are more.
func (s *Store) Repositories(ctx context.Context, after string, n int) (names []string, more bool, err error) {
	list := &s.catalog
	if !s.remember {
		list = new(nameList)
	}
	return list.page(after, n, func() ([]string, error) {
		var all []string
		err := s.walkNames(ctx, repositories, func(name ref.Name) { all = append(all, name.String()) })
		return all, err
	})
}

// noticeNew puts the repository into the catalog if a write that failed half-way
// has made it one.
func (s *Store) noticeNew(ctx context.Context, name ref.Name) {
	if found, err := s.exists(context.WithoutCancel(ctx), name); err == nil && found {
		s.catalog.add(name.String())
	}
}

// noticeEmpty takes the repository, which nobody else may be publishing in, out of
// the catalog if nothing is left that tells of it.
func (s *Store) noticeEmpty(ctx context.Context, name ref.Name) {
	if found, err := s.exists(context.WithoutCancel(ctx), name); err == nil && !found {
		s.catalog.remove(name.String())
	}
}

// walkNames finds the repositories below a prefix, level by level. What begins
// with an underscore is inside of a repository, and tells that it is one.
func (s *Store) walkNames(ctx context.Context, prefix string, found func(ref.Name)) error {
	var below []string
	isRepository := false
	for info, err := range s.bucket.List(ctx, prefix, "", true) {
		if err != nil {
			return err
		}
		switch part := info.Key[len(prefix):]; {
		case part == "_layers/", part == "_manifests/":
			isRepository = true
		case part[0] != '_' && strings.HasSuffix(part, "/"):
			below = append(below, info.Key)
		}
	}
	if isRepository {
		text := strings.TrimSuffix(strings.TrimPrefix(prefix, repositories), "/")
		if name, err := ref.ParseName(text); err == nil {
			found(name)
		}
	}
	for _, folder := range below {
		if err := s.walkNames(ctx, folder, found); err != nil {
			return err
		}
	}
	return nil
}
