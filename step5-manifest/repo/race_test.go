package repo_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step5-manifest/repo"
)

// wantNoDangling wants every tag in the bucket to lead to a manifest.
func (w *world) wantNoDangling() {
	w.Helper()
	all := dump(w.T, w.Bucket)
	for key, link := range all {
		n, _, found := strings.Cut(key, "_manifests/tags/")
		if !found || !strings.HasSuffix(key, "/current/link") {
			continue
		}
		hex := strings.TrimPrefix(link, "sha256:")
		if _, ok := all[n+"_manifests/revisions/sha256/"+hex+"/link"]; !ok {
			w.Errorf("%s leads to %s, which the repository has not", key, link)
		}
		if _, ok := all["blobs/sha256/"+hex[:2]+"/"+hex+"/data"]; !ok {
			w.Errorf("%s leads to %s, which is nowhere", key, link)
		}
	}
}

// A tag that two push and one takes away with its manifest is there or is not, and
// never leads to nothing.
func TestPushAgainstDelete(t *testing.T) {
	each(t, func(w *world) {
		raw := w.simple(app, "one")
		const rounds = 40
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				for range rounds {
					w.wantError("push", tryPush(w.Context(), w.Store, app, raw, nil, "v1"), nil)
				}
			})
		}
		all.Go(func() {
			for range rounds {
				if err := w.DeleteManifest(w.Context(), app, sum(raw)); err != nil && !errors.Is(err, repo.ErrManifestUnknown) {
					w.Errorf("delete: %v", err)
				}
			}
		})
		all.Go(func() {
			for range rounds {
				if _, got, err := w.Manifest(w.Context(), app, byTag("v1")); err != nil && !errors.Is(err, repo.ErrManifestUnknown) || err == nil && string(got) != raw {
					w.Errorf("read %q, %v", got, err)
				}
			}
		})
		all.Wait()
		w.wantNoDangling()
		u := newUniverse()
		w.wantSame("warm", u.view(w.Store), u.view(w.open(w.opts)))
	})
}

// A manifest is only ever published while the repository has the blob it names.
func TestPushAgainstBlobDeletion(t *testing.T) {
	w := newWorld(t, mem.New(), repo.Options{})
	raw := image(describe("", "data"))
	blobLink := "repositories/team/app/_layers/sha256/" + sum("data").Hex() + "/link"
	revision := "repositories/team/app/_manifests/revisions/sha256/" + sum(raw).Hex() + "/link"
	w.disturb(func(changes []bucket.Change) error {
		for _, c := range changes {
			if _, err := w.Bucket.Stat(t.Context(), blobLink); c.Key == revision && !c.Delete && err != nil {
				t.Errorf("published without its blob: %v", err)
			}
		}
		return nil
	})
	const rounds = 300
	var all sync.WaitGroup
	var pushed, refused int
	all.Go(func() {
		for range rounds {
			w.blob(app, "data")
			switch err := tryPush(t.Context(), w.Store, app, raw, nil); {
			case err == nil:
				pushed++
			case errors.Is(err, repo.ErrReferenceUnknown):
				refused++
			default:
				t.Errorf("push: %v", err)
			}
		}
	})
	all.Go(func() {
		for range rounds {
			w.DeleteBlob(t.Context(), app, sum("data"))
			w.DeleteManifest(t.Context(), app, sum(raw))
		}
	})
	all.Wait()
	if pushed+refused != rounds {
		t.Errorf("%d pushed, %d refused", pushed, refused)
	}
}

// While a tag moves, readers who know it see where it was; who does not know it
// waits. Once the push has returned all see where it is.
func TestReadersDuringAMove(t *testing.T) {
	for _, tt := range []struct {
		name  string
		opts  repo.Options
		known bool
	}{
		{"who know it", repo.Options{}, true},
		{"who do not", repo.Options{CacheBytes: 1}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, mem.New(), tt.opts)
			one := w.simple(app, "one", "v1")
			two := w.simple(app, "two")
			moving, move := make(chan struct{}), make(chan struct{})
			w.disturb(func(changes []bucket.Change) error {
				for _, c := range changes {
					if strings.HasSuffix(c.Key, "/tags/v1/current/link") {
						close(moving)
						<-move
					}
				}
				return nil
			})
			var all sync.WaitGroup
			all.Go(func() { w.push(app, two, "v1") })
			<-moving
			if tt.known {
				w.wantManifest(app, byTag("v1"), one)
			} else {
				all.Go(func() { w.wantManifest(app, byTag("v1"), two) })
			}
			w.wantManifest(app, byDigest(sum(two)), two)
			close(move)
			all.Wait()
			w.wantManifest(app, byTag("v1"), two)
		})
	}
}

// A tag that moves on and on never seems to go back, with and without room to
// remember it.
func TestTagsNeverGoBack(t *testing.T) {
	for _, opts := range []repo.Options{{}, {CacheBytes: 1200}, {CacheBytes: 1}} {
		t.Run(fmt.Sprint("cache ", opts.CacheBytes), func(t *testing.T) {
			w := newWorld(t, mem.New(), opts)
			const moves = 100
			order := map[digest.Digest]int{}
			var raws []string
			for i := range moves {
				raws = append(raws, w.simple(app, fmt.Sprint(i)))
				order[sum(raws[i])] = i
			}
			w.push(app, raws[0], "v1")
			done := make(chan struct{})
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					for last, more := 0, true; more; {
						select {
						case <-done:
							more = false // one more look, at where it ended
						default:
						}
						desc, _, err := w.Manifest(t.Context(), app, byTag("v1"))
						at := order[desc.Digest]
						if err != nil || at < last || !more && at != moves-1 {
							t.Errorf("at %d after %d, %v", at, last, err)
							return
						}
						last = at
					}
				})
			}
			for _, raw := range raws {
				w.push(app, raw, "v1")
			}
			close(done)
			all.Wait()
		})
	}
}

// Whatever many do at once, what is remembered is what the bucket holds.
func TestMemoryIsTrueAfterRaces(t *testing.T) {
	for _, opts := range []repo.Options{{}, {CacheBytes: 1500}} {
		t.Run(fmt.Sprint("cache ", opts.CacheBytes), func(t *testing.T) {
			u := newUniverse()
			w := newWorld(t, mem.New(), opts)
			for round := range uint64(5) {
				var all sync.WaitGroup
				for i := range uint64(4) {
					all.Go(func() {
						r := rand.New(rand.NewPCG(round, i))
						for range 20 {
							u.step(w, r)
						}
						u.view(w.Store)
					})
				}
				all.Wait()
				w.wantSame("warm", u.view(w.Store), u.view(w.open(opts)))
				w.wantNoDangling()
				if t.Failed() {
					t.FailNow()
				}
			}
		})
	}
}
