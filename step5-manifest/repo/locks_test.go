package repo

import (
	"context"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step5-manifest/manifest"
)

type observerFunc func(Event)

func (f observerFunc) Observe(_ context.Context, e Event) error {
	f(e)
	return nil
}

// Between the check of what a manifest refers to and its publication nobody can
// take any of that away, nor move its tags; and while something is taken away,
// nobody can check. The observer stands in that very place.
func TestLocksHeldWhilePublishing(t *testing.T) {
	ctx, name, tag := t.Context(), ref.MustName("a"), ref.MustTag("v1")
	b := mem.New()
	var s *Store
	var seen []EventAction
	s = New(b, CASBlobs{cas.New(b, cas.Distribution)}, Options{Missing: AllowMissing, Observer: observerFunc(func(e Event) {
		seen = append(seen, e.Action)
		repository, one := s.repositories.of(name.String()), s.tags.of(name.String(), tag.String())
		if repository.TryLock() {
			t.Errorf("%s: the repository can be locked", e.Action)
			repository.Unlock()
		}
		if e.Action == PushManifest || e.Action == DeleteTag {
			if one.TryLock() {
				t.Errorf("%s: the tag can be locked", e.Action)
				one.Unlock()
			}
			if !repository.TryRLock() {
				t.Errorf("%s: others cannot push", e.Action)
				return
			}
			repository.RUnlock()
		} else if repository.TryRLock() {
			t.Errorf("%s: the repository can be read", e.Action)
			repository.RUnlock()
		}
	})})
	raw := []byte(`{"schemaVersion":2,"manifests":[]}`)
	m, err := manifest.Parse("", raw)
	if err != nil {
		t.Fatal(err)
	}
	push := Push{Digest: digest.FromBytes(raw), Raw: raw, Manifest: m, Tags: []ref.Tag{tag}}
	blob := oci.EmptyDescriptor.Digest
	link := bucket.Change{Key: layerKey(name, blob), Data: []byte(blob.String())}
	for _, err := range []error{
		s.PushManifest(ctx, name, push), s.DeleteTag(ctx, name, tag), s.DeleteManifest(ctx, name, push.Digest),
		b.Write(ctx, link), s.DeleteBlob(ctx, name, blob),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if len(seen) != 4 {
		t.Errorf("seen %v", seen)
	}
}

// openHook is a bucket that calls f whenever something is opened.
type openHook struct {
	bucket.Bucket
	f func(key string)
}

func (b openHook) SoleWriter() bool { return true }

func (b openHook) Open(ctx context.Context, key string) (bucket.Object, error) {
	b.f(key)
	return b.Bucket.Open(ctx, key)
}

// From the look at a tag's link until what it leads to is remembered, the tag does
// not move, nor does the manifest go away: else the older answer would be
// remembered over the newer one.
func TestLocksHeldWhileLoading(t *testing.T) {
	ctx, name, tag := t.Context(), ref.MustName("a"), ref.MustTag("v1")
	var s *Store
	opened, byTag := 0, true
	b := openHook{mem.New(), func(key string) {
		opened++
		if one := s.tags.of(name.String(), tag.String()); byTag && one.TryLock() {
			t.Errorf("%s: the tag can be locked", key)
			one.Unlock()
		}
		if repository := s.repositories.of(name.String()); repository.TryLock() {
			t.Errorf("%s: the repository can be locked", key)
			repository.Unlock()
		}
	}}
	raw := []byte(`{"schemaVersion":2,"manifests":[]}`)
	d := digest.FromBytes(raw)
	blobs := CASBlobs{cas.New(b, cas.Distribution)}
	s = New(b, blobs, Options{})
	if err := b.Bucket.Write(ctx, bucket.Change{Key: cas.Distribution.Key(d), Data: raw},
		bucket.Change{Key: revisionKey(name, d), Data: []byte(d.String())},
		bucket.Change{Key: tagKey(name, tag), Data: []byte(d.String())}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Manifest(ctx, name, ref.ByTag(tag)); err != nil || opened != 2 {
		t.Errorf("by tag: %d opened, %v", opened, err)
	}
	byTag, s = false, New(b, blobs, Options{})
	if _, _, err := s.Manifest(ctx, name, ref.ByDigest(d)); err != nil || opened != 3 {
		t.Errorf("by digest: %d opened, %v", opened, err)
	}
}

// However many tags one push sets, and in whatever order: stripes that two of them
// share are locked once.
func TestTagLocksDoNotDeadlock(t *testing.T) {
	s := New(mem.New(), nil, Options{})
	var tags []ref.Tag
	for a := 'a'; a <= 'z'; a++ {
		for b := 'a'; b <= 'z'; b++ {
			tags = append(tags, ref.MustTag(string([]rune{a, b})))
		}
	}
	for range 2 {
		s.lockTags(ref.MustName("a"), tags)()
	}
}
