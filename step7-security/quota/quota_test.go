package quota_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step7-security/policy"
	"shibafu.dev/step7-security/quota"
)

var quiet = slog.New(slog.DiscardHandler)

// world is a registry with quotas. Its disk fails when told to.
type world struct {
	*testing.T
	bucket *shaky
	keeper *quota.Keeper
	store  *repo.Store
	quota.Writes
	mu     sync.Mutex
	quotas []policy.Quota
}

// shaky is a bucket whose writes to keys that hold a text fail.
type shaky struct {
	bucket.Bucket
	mu    sync.Mutex
	fails string
}

var errDisk = errors.New("the disk is gone")

func (s *shaky) fail(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = text
}

func (s *shaky) Write(ctx context.Context, changes ...bucket.Change) error {
	s.mu.Lock()
	text := s.fails
	s.mu.Unlock()
	for _, c := range changes {
		if text != "" && strings.Contains(c.Key, text) {
			return errDisk
		}
	}
	return s.Bucket.Write(ctx, changes...)
}

func newWorld(t *testing.T, quotas string) *world {
	w := &world{T: t, bucket: &shaky{Bucket: mem.New()}}
	w.setQuotas(quotas)
	w.restart()
	return w
}

func (w *world) setQuotas(text string) {
	p, err := policy.Parse("p", []byte(`{"quotas": [`+text+`]}`))
	if err != nil {
		w.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quotas = p.Quotas()
}

func (w *world) inForce() []policy.Quota {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.quotas
}

// restart forgets all but what is in the bucket.
func (w *world) restart() {
	w.keeper = quota.New(w.inForce)
	store := cas.New(w.bucket, cas.Distribution)
	w.store = repo.New(w.bucket, repo.CASBlobs{Store: store}, repo.Options{Missing: repo.AllowMissing, Observer: w.keeper})
	w.Writes = quota.Writes{Keeper: w.keeper, Store: w.store, Next: w.store}
}

// image is a manifest whose layers, each named by its size, are not there.
func image(note string, sizes ...int64) []byte {
	layers := []oci.Descriptor{}
	for _, size := range sizes {
		layers = append(layers, oci.Descriptor{MediaType: oci.MediaTypeImageLayerGzip, Digest: digest.FromBytes(fmt.Append(nil, size)), Size: size})
	}
	raw, _ := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeImageManifest, "annotations": map[string]string{"note": note},
		"config": oci.Descriptor{MediaType: oci.MediaTypeImageConfig, Digest: digest.FromBytes([]byte("config")), Size: 1000}, "layers": layers,
	})
	return raw
}

func (w *world) push(name string, raw []byte, tags ...string) error {
	m, err := manifest.Parse("", raw)
	if err != nil {
		w.Fatal(err)
	}
	p := repo.Push{Digest: digest.FromBytes(raw), Raw: raw, Manifest: m}
	for _, text := range tags {
		tag, _ := ref.ParseTag(text)
		p.Tags = append(p.Tags, tag)
	}
	return w.PushManifest(w.Context(), ref.MustName(name), p)
}

func (w *world) want(what string, err, want error, used ...int64) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Fatalf("%s: %v, want %v", what, err, want)
	}
	for i, u := range w.keeper.Usage() {
		if 2*i+1 < len(used) && (u.Bytes != used[2*i] || u.Tags != used[2*i+1]) {
			w.Errorf("%s: %+v, want %d bytes and %d tags", what, u, used[2*i], used[2*i+1])
		}
	}
}

func TestCharge(t *testing.T) {
	w := newWorld(t, `{"name": "team", "repositories": ["team/**"], "bytes": "10KiB", "tags": 3}, {"name": "a", "repositories": ["team/a"], "tags": 2}`)
	one, two, large := image("one", 2000, 3000), image("two", 3000), image("large", 9000)
	m1, m2 := int64(len(one)), int64(len(two))
	first := 6000 + m1

	w.want("another namespace", w.push("other", large, "v1"), nil, 0, 0, 0, 0)
	w.want("first", w.push("team/a", one, "v1"), nil, first, 1, first, 1)
	w.want("again", w.push("team/a", one, "v1"), nil, first, 1, first, 1)
	w.want("to another repository", w.push("team/b", one, "v1"), nil, first, 2, first, 1)
	w.want("what shares layers", w.push("team/a", two, "v2"), nil, first+m2, 3, first+m2, 2)
	w.want("too large", w.push("team/b", large), quota.ErrExceeded, first+m2, 3, first+m2, 2)
	w.want("too many tags", w.push("team/b", two, "v2"), quota.ErrExceeded, first+m2, 3, first+m2, 2)
	w.want("a tag that moves", w.push("team/b", two, "v1"), nil, first+m2, 3, first+m2, 2)
	w.want("untagged", w.DeleteTag(t.Context(), ref.MustName("team/a"), tag("v1")), nil, first+m2, 2, first+m2, 1)
	w.want("deleted in one", w.DeleteManifest(t.Context(), ref.MustName("team/a"), digest.FromBytes(two)), nil, first+m2, 1, first, 0)
	w.restart()
	w.keeper.Run(t.Context(), w.store, quiet)
	w.want("counted", nil, nil, first+m2, 1, first, 0)
	w.want("deleted in all", w.DeleteManifest(t.Context(), ref.MustName("team/b"), digest.FromBytes(two)), nil, first, 0, first, 0)
	w.want("deleted", w.DeleteManifest(t.Context(), ref.MustName("team/b"), digest.FromBytes(one)), nil, first, 0, first, 0)
	w.want("deleted, the last", w.DeleteManifest(t.Context(), ref.MustName("team/a"), digest.FromBytes(one)), nil, 0, 0, 0, 0)
}

func tag(text string) ref.Tag {
	tag, err := ref.ParseTag(text)
	if err != nil {
		panic(err)
	}
	return tag
}

func TestMessage(t *testing.T) {
	w := newWorld(t, `{"name": "team", "repositories": ["team/**"], "tags": 1}`)
	err := w.push("team/a", image("x"), "v1", "v2")
	if want := `quota "team": 0 tags are used of 1, and this has 2 more`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// What a manifest says of a size does not make the sum run over.
func TestHugeSizes(t *testing.T) {
	w := newWorld(t, `{"repositories": ["*"], "bytes": "1GiB"}`)
	w.want("one", w.push("a", image("x", 1<<62, 1<<62+1, 1<<62+2)), quota.ErrExceeded, 0, 0)
}

// What could not be written is not charged, and what could not be deleted stays.
func TestFailedWrites(t *testing.T) {
	w := newWorld(t, `{"repositories": ["*"], "bytes": "1GiB", "tags": 9}`)
	raw := image("x", 500)
	all := 1500 + int64(len(raw))
	w.bucket.fail("revisions")
	w.want("push", w.push("a", raw, "v1"), errDisk, 0, 0)
	w.bucket.fail("")
	w.want("push once more", w.push("a", raw, "v1"), nil, all, 1)
	w.bucket.fail("revisions")
	w.want("delete, which takes the tag", w.DeleteManifest(t.Context(), ref.MustName("a"), digest.FromBytes(raw)), errDisk, all, 0)
	w.bucket.fail("tags")
	w.want("tag", w.push("a", raw, "v1"), errDisk, all, 0)
}

// New quotas are counted when they are needed, and old ones are let go.
func TestReload(t *testing.T) {
	w := newWorld(t, `{"repositories": ["a"], "tags": 9}`)
	w.want("push", w.push("b", image("x"), "v1"), nil, 0, 0)
	w.setQuotas(`{"repositories": ["b"], "tags": 1}`)
	w.want("over the new one", w.push("b", image("x"), "v2"), quota.ErrExceeded, 1000+int64(len(image("x"))), 1)
	w.setQuotas(`{"repositories": ["b"], "tags": 2}`)
	w.want("a larger one", w.push("b", image("x"), "v2"), nil, 1000+int64(len(image("x"))), 2)
}

// What is over a quota that became smaller stays as it is, and may be tagged.
func TestOverALowerQuota(t *testing.T) {
	w := newWorld(t, `{"repositories": ["a"], "bytes": "1GiB", "tags": 9}`)
	raw := image("x", 500)
	all := 1500 + int64(len(raw))
	w.want("push", w.push("a", raw, "v1"), nil, all, 1)
	w.setQuotas(`{"repositories": ["a"], "bytes": "1KiB", "tags": 2}`)
	w.want("another tag", w.push("a", raw, "v2"), nil, all, 2)
	w.want("more bytes", w.push("a", image("y"), "v2"), quota.ErrExceeded, all, 2)
	w.want("fewer", w.DeleteTag(t.Context(), ref.MustName("a"), tag("v1")), nil, all, 1)
}

// meanwhile is a Store that does something once it has listed the repositories.
type meanwhile struct {
	quota.Store
	do func()
}

func (m meanwhile) Repositories(ctx context.Context, after string, n int) ([]string, bool, error) {
	names, more, err := m.Store.Repositories(ctx, after, n)
	m.do()
	return names, more, err
}

// A repository that comes while the others are counted is counted too.
func TestNewWhileCounting(t *testing.T) {
	w := newWorld(t, `{"repositories": ["*"], "tags": 9}`)
	w.want("push", w.push("b", image("x"), "v1"), nil)
	w.restart()
	raw := image("y")
	m, err := manifest.Parse("", raw)
	if err != nil {
		t.Fatal(err)
	}
	once := sync.OnceFunc(func() { // it was let through before there was the quota
		p := repo.Push{Digest: digest.FromBytes(raw), Raw: raw, Manifest: m, Tags: []ref.Tag{tag("v1")}}
		w.want("new", w.store.PushManifest(t.Context(), ref.MustName("a"), p), nil)
	})
	w.keeper.Run(t.Context(), meanwhile{w.store, once}, quiet)
	w.want("counted", nil, nil, 1000+int64(len(image("x"))+len(raw)), 2)
}

// What changes while a quota is not in force counts when it comes back.
func TestQuotaThatComesBack(t *testing.T) {
	const tags = `{"repositories": ["a"], "tags": 9}`
	w := newWorld(t, tags)
	w.want("push", w.push("a", image("x"), "v1", "v2"), nil, 1000+int64(len(image("x"))), 2)
	w.setQuotas(`{"repositories": ["b"], "tags": 9}`)
	w.want("deleted meanwhile", w.DeleteTag(t.Context(), ref.MustName("a"), tag("v1")), nil)
	w.setQuotas(tags)
	w.keeper.Run(t.Context(), w.store, quiet)
	if u := w.keeper.Usage(); u[0].Tags != 1 || !u[0].Complete {
		t.Errorf("%+v", u)
	}
}

// Pushes, deletions, failures and counting all at once leave the account as a new
// count finds it.
func TestAtOnce(t *testing.T) {
	w := newWorld(t, `{"repositories": ["*"], "bytes": "100KiB", "tags": 40}, {"repositories": ["r1", "r2"], "tags": 11}`)
	for i := range 8 { // what was there before
		w.push(fmt.Sprint("r", i%4), image(fmt.Sprint(i%5), int64(i)), fmt.Sprint("old", i))
	}
	w.restart()
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 1))
			for range 150 {
				name, i := fmt.Sprint("r", random.IntN(5)), random.IntN(6)
				raw := image(fmt.Sprint(i), int64(i)*700, int64(i%2)*900)
				switch random.IntN(12) {
				case 0:
					w.DeleteManifest(t.Context(), ref.MustName(name), digest.FromBytes(raw))
				case 1:
					w.DeleteTag(t.Context(), ref.MustName(name), tag(fmt.Sprint("t", i)))
				case 2:
					w.bucket.fail([]string{"", "", "revisions", "tags/t1", "r3"}[random.IntN(5)])
				case 3:
					w.setQuotas(fmt.Sprintf(`{"repositories": ["*"], "bytes": "100KiB", "tags": %d}, {"repositories": [%q, "r2"], "tags": 11}`, 30+i, fmt.Sprint("r", i)))
				case 4:
					w.keeper.Run(t.Context(), w.store, quiet)
				default:
					w.push(name, raw, fmt.Sprint("t", random.IntN(9)))
				}
			}
		})
	}
	group.Wait()
	w.bucket.fail("")
	w.keeper.Run(t.Context(), w.store, quiet)
	kept := w.keeper.Usage()
	w.restart()
	w.keeper.Run(t.Context(), w.store, quiet)
	for i, u := range w.keeper.Usage() {
		if u != kept[i] || !u.Complete {
			t.Errorf("kept %+v, counted %+v", kept[i], u)
		}
	}
}
