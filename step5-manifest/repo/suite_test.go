package repo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
)

// each runs a test over an empty registry in each kind of bucket, beside other
// tests: most of the time goes into waiting for the disk.
func each(t *testing.T, test func(w *world)) {
	t.Parallel()
	t.Run("mem", func(t *testing.T) { test(newWorld(t, mem.New(), repo.Options{})) })
	t.Run("dir", func(t *testing.T) {
		t.Parallel()
		b, err := dir.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		test(newWorld(t, b, repo.Options{}))
	})
}

// world is a registry, its bucket, and short ways to use them in a test.
type world struct {
	*testing.T
	*repo.Store
	*spy
	opts repo.Options
}

func newWorld(t *testing.T, b bucket.Bucket, opts repo.Options) *world {
	w := &world{T: t, spy: &spy{Bucket: b, sole: bucket.IsSoleWriter(b)}, opts: opts}
	w.restart()
	return w
}

// restart forgets all but what is in the bucket.
func (w *world) restart() { w.Store = w.open(w.opts) }

// open returns another registry in the same bucket.
func (w *world) open(opts repo.Options) *repo.Store {
	return repo.New(w.spy, repo.CASBlobs{Store: cas.New(w.spy, cas.Distribution)}, opts)
}

// spy is a bucket that can be watched and disturbed.
type spy struct {
	bucket.Bucket
	sole bool

	mu     sync.Mutex
	reads  int // Open, Stat and List
	before func(changes []bucket.Change) error
	onOpen func(key string)
}

func (s *spy) SoleWriter() bool { return s.sole }

// disturb lets f see, and refuse, each Write from now on.
func (s *spy) disturb(f func(changes []bucket.Change) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// watch lets f see which keys are opened from now on.
func (s *spy) watch(f func(key string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onOpen = f
}

func (s *spy) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// part is what a crash can leave of a Write of which it lets only some changes be
// made: while one is missing, none of those that come last.
func part(changes []bucket.Change, made func(i int) bool) (some []bucket.Change) {
	whole := true
	var last []bucket.Change
	for i, c := range changes {
		switch ok := made(i); {
		case !ok:
			whole = whole && c.Last
		case c.Last:
			last = append(last, c)
		default:
			some = append(some, c)
		}
	}
	if whole {
		some = append(some, last...)
	}
	return some
}

func (s *spy) Write(ctx context.Context, changes ...bucket.Change) error {
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before != nil {
		if err := before(changes); err != nil {
			return err
		}
	}
	return s.Bucket.Write(ctx, changes...)
}

func (s *spy) Open(ctx context.Context, key string) (bucket.Object, error) {
	s.mu.Lock()
	s.reads++
	onOpen := s.onOpen
	s.mu.Unlock()
	if onOpen != nil {
		onOpen(key)
	}
	return s.Bucket.Open(ctx, key)
}

func (s *spy) Stat(ctx context.Context, key string) (bucket.Info, error) {
	s.mu.Lock()
	s.reads++
	s.mu.Unlock()
	return s.Bucket.Stat(ctx, key)
}

func (s *spy) List(ctx context.Context, prefix, after string, oneLevel bool) iter.Seq2[bucket.Info, error] {
	s.mu.Lock()
	s.reads++
	s.mu.Unlock()
	return s.Bucket.List(ctx, prefix, after, oneLevel)
}

// Names that read well in tests.
var (
	name     = ref.MustName
	tag      = ref.MustTag
	app      = name("team/app")
	other    = name("other")
	byTag    = func(text string) ref.TagOrDigest { return ref.ByTag(tag(text)) }
	byDigest = ref.ByDigest
)

// blob pushes data as a blob of the repository.
func (w *world) blob(n ref.Name, data string) oci.Descriptor {
	w.Helper()
	d, err := w.tryBlob(n, data)
	if err != nil {
		w.Fatalf("pushing a blob: %v", err)
	}
	return d
}

func (w *world) tryBlob(n ref.Name, data string) (oci.Descriptor, error) {
	ctx := w.Context()
	d := describe(oci.MediaTypeImageLayer, data)
	writer, err := cas.New(w.spy, cas.Distribution).NewWriter(ctx, fmt.Sprintf("upload-%p", &d), digest.SHA256, nil)
	if err != nil {
		return d, err
	}
	defer writer.Cancel(ctx)
	if _, err := writer.Append(ctx, 0, bytes.NewReader([]byte(data))); err != nil {
		return d, err
	}
	return d, w.CommitBlob(ctx, n, writer, d.Digest)
}

func describe(mediaType, data string) oci.Descriptor {
	return oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes([]byte(data)), Size: int64(len(data))}
}

// image is a manifest whose config and layers are blobs that were pushed before.
func image(config oci.Descriptor, layers ...oci.Descriptor) string {
	return encode(oci.Manifest{SchemaVersion: 2, MediaType: oci.MediaTypeImageManifest, Config: config, Layers: layers})
}

// index is an index of manifests.
func index(raws ...string) string {
	x := oci.Index{SchemaVersion: 2, MediaType: oci.MediaTypeImageIndex}
	for _, raw := range raws {
		x.Manifests = append(x.Manifests, describe(manifest.MediaType([]byte(raw)), raw))
	}
	return encode(x)
}

// signature is an artifact that refers to a subject.
func signature(config oci.Descriptor, artifactType, subject string) string {
	s := describe(oci.MediaTypeImageManifest, subject)
	return encode(oci.Manifest{SchemaVersion: 2, MediaType: oci.MediaTypeImageManifest, ArtifactType: artifactType, Config: config, Subject: &s})
}

func encode(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// sum is the digest of a manifest.
func sum(raw string) digest.Digest { return digest.FromBytes([]byte(raw)) }

// simple pushes a blob and a manifest that has it as its config, and returns the
// manifest.
func (w *world) simple(n ref.Name, content string, tags ...string) string {
	w.Helper()
	raw := image(w.blob(n, content))
	w.push(n, raw, tags...)
	return raw
}

// push stores a manifest.
func (w *world) push(n ref.Name, raw string, tags ...string) digest.Digest {
	w.Helper()
	if err := tryPush(w.Context(), w.Store, n, raw, nil, tags...); err != nil {
		w.Fatalf("pushing a manifest: %v", err)
	}
	return sum(raw)
}

func tryPush(ctx context.Context, s *repo.Store, n ref.Name, raw string, cond repo.Condition, tags ...string) error {
	m, err := manifest.Parse("", []byte(raw))
	if err != nil {
		return err
	}
	p := repo.Push{Digest: sum(raw), Raw: []byte(raw), Manifest: m, If: cond}
	for _, text := range tags {
		p.Tags = append(p.Tags, tag(text))
	}
	return s.PushManifest(ctx, n, p)
}

// wantManifest wants that the reference leads to the manifest raw.
func (w *world) wantManifest(n ref.Name, reference ref.TagOrDigest, raw string) {
	w.Helper()
	desc, got, err := w.Manifest(w.Context(), n, reference)
	if err != nil || string(got) != raw {
		w.Errorf("%s %s is %.300q, %v; want %.300q", n, reference, got, err, raw)
		return
	}
	if want := describe(manifest.MediaType(got), raw); encode(desc) != encode(want) {
		w.Errorf("%s %s is described as %s; want %s", n, reference, encode(desc), encode(want))
	}
}

// wantError wants that err is want.
func (w *world) wantError(what string, err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Errorf("%s: %v; want %v", what, err, want)
	}
}

// dump is all that is in a bucket.
func dump(t *testing.T, b bucket.Bucket) map[string]string {
	t.Helper()
	all := map[string]string{}
	for info, err := range b.List(context.Background(), "", "", false) {
		if err != nil {
			t.Fatal(err)
		}
		raw, _, err := bucket.ReadAll(context.Background(), b, info.Key, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		all[info.Key] = string(raw)
	}
	return all
}

// wantSame wants two dumps to be equal.
func (w *world) wantSame(what string, got, want map[string]string) {
	w.Helper()
	for key := range maps.Keys(want) {
		if _, ok := got[key]; !ok {
			w.Errorf("%s: %s is gone", what, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if got[key] != want[key] {
			w.Errorf("%s: %s is %.200q, was %.200q", what, key, got[key], want[key])
		}
	}
}
