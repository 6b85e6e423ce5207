package repo_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step5-manifest/repo"
)

// universe is what a random registry is made of.
type universe struct {
	names     []ref.Name
	tags      []string
	blobs     []string
	manifests []string
}

func newUniverse() universe {
	u := universe{
		names: []ref.Name{app, other, name("team/app/sub")}, tags: []string{"a", "b", "latest"},
		blobs: []string{"zero", "one", "two"},
	}
	d := func(i int) oci.Descriptor { return describe(oci.MediaTypeImageLayer, u.blobs[i]) }
	zero, one := image(d(0)), image(d(1), d(2))
	u.manifests = []string{
		zero, one, index(zero, one), signature(d(0), "application/vnd.sig", zero), signature(d(2), "application/vnd.sbom", zero),
		`{"blobs":[` + encode(d(1)) + `]}`, `{"schemaVersion":2,"config":` + encode(d(2)) + `}`,
	}
	return u
}

// view is all that clients can see of a registry.
func (u universe) view(s *repo.Store) map[string]string {
	ctx := context.Background()
	all := map[string]string{}
	note := func(what string, values ...any) { all[what] = fmt.Sprint(values...) }
	names, more, err := s.Repositories(ctx, "", 100)
	note("catalog", names, more, err)
	for _, n := range u.names {
		tags, more, err := s.Tags(ctx, n, "", 100)
		note(n.String()+" tags", tags, more, err)
		for _, blob := range u.blobs {
			size, err := s.StatBlob(ctx, n, sum(blob))
			note(n.String()+" blob "+blob, size, err)
			o, err := s.OpenBlob(ctx, n, sum(blob))
			if err == nil {
				o.Close()
			}
			note(n.String()+" opens "+blob, err)
		}
		var references []string
		for _, raw := range u.manifests {
			references = append(references, sum(raw).String())
			found, more, err := s.Referrers(ctx, n, sum(raw), "", digest.Digest{}, 10, 1<<20)
			note(n.String()+" referrers of "+raw, encode(found), more, err)
		}
		for _, r := range append(references, u.tags...) {
			desc, raw, err := s.Manifest(ctx, n, reference(r))
			note(n.String()+" "+r, encode(desc), string(raw), err)
		}
	}
	return all
}

// step does something to a registry. Whether it can be done does not matter.
func (u universe) step(w *world, r *rand.Rand) string {
	ctx := w.Context()
	n, from := pick(r, u.names), pick(r, u.names)
	blob, raw, text := pick(r, u.blobs), pick(r, u.manifests), pick(r, u.tags)
	var err error
	what := ""
	switch k := r.IntN(20); {
	case k < 5:
		_, err = w.tryBlob(n, blob)
		what = "push blob " + blob
	case k < 7:
		err = w.MountBlob(ctx, n, from, sum(blob))
		what = "mount " + blob
	case k < 15:
		tags := u.tags[:r.IntN(len(u.tags)+1)]
		err = tryPush(ctx, w.Store, n, raw, nil, tags...)
		what = fmt.Sprint("push ", sum(raw), " as ", tags)
	case k < 17:
		err = w.DeleteTag(ctx, n, tag(text))
		what = "delete tag " + text
	case k < 19:
		err = w.DeleteManifest(ctx, n, sum(raw))
		what = "delete " + sum(raw).String()
	default:
		err = w.DeleteBlob(ctx, n, sum(blob))
		what = "delete blob " + blob
	}
	return fmt.Sprintf("%s in %s: %v", what, n, err)
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

var errInjected = errors.New("injected")

// failSome makes a fifth of all writes fail, after some of their changes.
func failSome(w *world, r *rand.Rand) {
	w.disturb(func(changes []bucket.Change) error {
		if r.IntN(5) != 0 {
			return nil
		}
		some := part(changes, func(int) bool { return r.IntN(2) == 0 })
		return errors.Join(errInjected, w.Bucket.Write(context.Background(), some...))
	})
}

// What a registry remembers never differs from what its bucket holds: not after
// anything that clients do, not with hardly any memory, not after writes that
// failed half-way.
func TestMemoryIsTrue(t *testing.T) {
	for _, tt := range []struct {
		name  string
		opts  repo.Options
		setUp func(w *world, r *rand.Rand)
	}{
		{"all fits", repo.Options{}, nil},
		{"hardly anything fits", repo.Options{CacheBytes: 1500}, nil},
		{"nothing fits", repo.Options{CacheBytes: 1}, nil},
		{"children may be missing", repo.Options{Missing: repo.AllowMissing}, nil},
		{"writes fail", repo.Options{Missing: repo.AllowMissing}, failSome},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := newUniverse()
			for seed := range uint64(2) {
				r := rand.New(rand.NewPCG(seed, 1))
				w := newWorld(t, mem.New(), tt.opts)
				var steps []string
				for range 70 {
					if tt.setUp != nil {
						tt.setUp(w, r)
					}
					steps = append(steps, u.step(w, r))
					w.disturb(nil) // merely looking may write the index of referrers
					warm, cold := u.view(w.Store), u.view(w.open(tt.opts))
					w.wantSame("warm", warm, cold)
					if t.Failed() {
						t.Fatalf("seed %d, after %q", seed, steps)
					}
				}
			}
		})
	}
}

// Where others write to the bucket too, nothing is believed that was read before.
func TestSharedBucketIsNotRemembered(t *testing.T) {
	u := newUniverse()
	r := rand.New(rand.NewPCG(1, 2))
	w := newWorld(t, mem.New(), repo.Options{})
	w.sole = false
	stores := []*repo.Store{w.open(w.opts), w.open(w.opts), w.open(w.opts)}
	for i := range 80 {
		w.Store = stores[i%len(stores)]
		step := u.step(w, r)
		want := u.view(w.open(w.opts))
		for _, s := range stores {
			w.wantSame(step, u.view(s), want)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
}

// A manifest that was read once is served without a look into the bucket.
func TestManifestsAreRemembered(t *testing.T) {
	w := newWorld(t, mem.New(), repo.Options{})
	raw := w.simple(app, "one", "v1")
	for _, when := range []string{"after the push", "after a restart"} {
		w.wantManifest(app, byTag("v1"), raw)
		before := w.count()
		w.wantManifest(app, byTag("v1"), raw)
		w.wantManifest(app, byDigest(sum(raw)), raw)
		if n := w.count() - before; n != 0 {
			t.Errorf("%s: %d reads", when, n)
		}
		w.restart()
	}
}

// With more manifests than fit, the ones in use stay.
func TestManifestsAreEvicted(t *testing.T) {
	w := newWorld(t, mem.New(), repo.Options{CacheBytes: 8 << 10})
	hot := w.simple(app, "hot", "hot")
	var cold []string
	for i := range 50 {
		cold = append(cold, w.simple(app, fmt.Sprint(i)))
		w.wantManifest(app, byTag("hot"), hot)
	}
	before := w.count()
	w.wantManifest(app, byTag("hot"), hot)
	if n := w.count() - before; n != 0 {
		t.Errorf("the hot one: %d reads", n)
	}
	for _, raw := range slices.Backward(cold) {
		w.wantManifest(app, byDigest(sum(raw)), raw)
	}
	if n := w.count() - before; n < 2*30 {
		t.Errorf("%d reads for 50 manifests, of which about 10 fit", n)
	}
}
