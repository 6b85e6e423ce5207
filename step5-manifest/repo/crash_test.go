package repo_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step5-manifest/repo"
)

var errCrash = errors.New("crash")

// work is something that takes several writes, or one write of several changes.
type work struct {
	name  string
	setUp func(w *world)
	do    func(w *world) error
	// after is what doing it again returns once it is wholly done.
	after error
	// leaves is what a check may name where a crash cut it: "" for nothing at all.
	leaves string
}

// The manifests that tags move between.
var (
	oldImage = image(describe("", "old"))
	newImage = image(describe("", "new"))
	oldSign  = signature(data, "application/vnd.sig", oldImage)
)

func prepare(w *world) {
	w.blob(app, "old")
	w.blob(app, "new")
	w.blob(app, "data")
	w.push(app, oldImage, "a", "b")
}

var works = []work{
	{"push a first blob", func(w *world) {},
		func(w *world) error { _, err := w.tryBlob(app, "data"); return err }, nil, ""},
	{"push a blob", prepare,
		func(w *world) error { _, err := w.tryBlob(app, "more"); return err }, nil, ""},
	{"mount a first blob", func(w *world) { w.blob(other, "data") },
		func(w *world) error { return w.MountBlob(w.Context(), app, other, sum("data")) }, nil, ""},
	{"push a first manifest", func(w *world) { w.blob(app, "new") },
		func(w *world) error { return tryPush(w.Context(), w.Store, app, newImage, nil, "a") }, nil, ""},
	{"move a tag to a new manifest", prepare,
		func(w *world) error { return tryPush(w.Context(), w.Store, app, newImage, nil, "a") }, nil, ""},
	{"move two tags and make one", prepare,
		func(w *world) error { return tryPush(w.Context(), w.Store, app, newImage, nil, "a", "b", "c") }, nil, ""},
	{"move a tag to a manifest that is there", func(w *world) { prepare(w); w.push(app, newImage, "c") },
		func(w *world) error { return tryPush(w.Context(), w.Store, app, newImage, nil, "a") }, nil, ""},
	{"push a signature", prepare,
		func(w *world) error { return tryPush(w.Context(), w.Store, app, oldSign, nil) }, nil, "referrer"},
	{"delete a tag", prepare,
		func(w *world) error { return w.DeleteTag(w.Context(), app, tag("a")) }, repo.ErrManifestUnknown, ""},
	{"delete a manifest with its tags", prepare,
		func(w *world) error { return w.DeleteManifest(w.Context(), app, sum(oldImage)) }, repo.ErrManifestUnknown, ""},
	{"delete a signature", func(w *world) { prepare(w); w.push(app, oldSign, "a") },
		func(w *world) error { return w.DeleteManifest(w.Context(), app, sum(oldSign)) }, repo.ErrManifestUnknown, "referrer"},
	{"delete a blob", prepare,
		func(w *world) error { return w.DeleteBlob(w.Context(), app, sum("data")) }, repo.ErrBlobUnknown, ""},
}

// indexing is work that merely looking at the referrers does.
var indexing = work{"build the index of referrers", func(w *world) { prepare(w); w.push(app, oldSign); w.strip(app) },
	func(w *world) error {
		_, _, err := w.Referrers(w.Context(), app, sum(oldImage), "", digest.Digest{}, 10, 1<<20)
		return err
	}, nil, ""}

// seen is what clients can see of what works do.
func (w *world) seen(s *repo.Store) map[string]string {
	u := universe{names: names(app), tags: []string{"a", "b", "c"}, blobs: []string{"old", "new", "data", "more"},
		manifests: []string{oldImage, newImage, oldSign}}
	return u.view(s)
}

// cut lets the write of that number make only the changes that mask names, and no
// later write anything, as long as dead is true.
func (w *world) cut(number, mask int, dead bool) {
	count := 0
	w.disturb(func(changes []bucket.Change) error {
		count++
		switch {
		case count == number:
			some := part(changes, func(i int) bool { return mask&(1<<i) != 0 })
			return errors.Join(errCrash, w.Bucket.Write(context.Background(), some...))
		case count > number && dead:
			return errCrash
		}
		return nil
	})
}

// writes is how many changes each write of the work has, and what clients see
// before and after it.
func (k work) writes(t *testing.T) (sizes []int, before, after map[string]string) {
	w := newWorld(t, mem.New(), repo.Options{})
	k.setUp(w)
	before = w.seen(w.Store)
	w = newWorld(t, mem.New(), repo.Options{})
	k.setUp(w)
	w.disturb(func(changes []bucket.Change) error {
		sizes = append(sizes, len(changes))
		return nil
	})
	w.wantError("undisturbed", k.do(w), nil)
	w.disturb(nil)
	return sizes, before, w.seen(w.open(w.opts))
}

// cuts calls test for all ways in which the work can be cut: in each of its
// writes, with each subset of the write's changes made.
func (k work) cuts(t *testing.T, test func(w *world, number, mask int, label string)) {
	sizes, _, _ := k.writes(t)
	if len(sizes) == 0 {
		t.Fatal("it writes nothing")
	}
	for i, size := range sizes {
		for mask := range 1 << size {
			w := newWorld(t, mem.New(), repo.Options{})
			k.setUp(w)
			test(w, i+1, mask, fmt.Sprintf("write %d cut to %0*b", i+1, size, mask))
			if t.Failed() {
				return
			}
		}
	}
}

// A crash in any write, with any part of it on the disk, leaves each tag where it
// was or where it was to go, and what was not finished can be done again.
func TestCrash(t *testing.T) {
	for _, k := range append(works, indexing) {
		t.Run(k.name, func(t *testing.T) {
			_, before, after := k.writes(t)
			k.cuts(t, func(w *world, number, mask int, label string) {
				w.cut(number, mask, true)
				w.wantError(label, k.do(w), errCrash)
				w.disturb(nil)
				w.restart()
				found := w.seen(w.Store)
				for what, got := range found {
					// Where there was no repository there may be one by now, with nothing in it.
					came := strings.HasSuffix(before[what], repo.ErrNameUnknown.Error()) && strings.HasSuffix(got, "in the repository")
					if !isList(what) && got != before[what] && got != after[what] && !came {
						t.Errorf("%s: %s is %.300q; was %.300q, is to be %.300q", label, what, got, before[what], after[what])
					}
				}
				w.wantLists(label, found)
				w.wantNoDangling()
				w.wantAgain(k, label, found, after)
			})
		})
	}
}

func isList(what string) bool { return what == "catalog" || strings.HasSuffix(what, " tags") }

// wantLists wants the lists to name exactly what can be found one by one.
func (w *world) wantLists(label string, found map[string]string) {
	w.Helper()
	var tags []string
	for _, text := range []string{"a", "b", "c"} {
		if strings.HasSuffix(found["team/app "+text], "<nil>") {
			tags = append(tags, text)
		}
	}
	got := found["team/app tags"]
	exists := !strings.HasSuffix(got, repo.ErrNameUnknown.Error())
	if want := fmt.Sprint(tags, false, nil); exists && got != want {
		w.Errorf("%s: tags %s; want %s", label, got, want)
	}
	if listed := strings.Contains(found["catalog"], "team/app"); listed != exists {
		w.Errorf("%s: catalog %s, but tags %s", label, found["catalog"], got)
	}
}

// wantAgain wants the work to succeed when it is done again, or to have been done
// already.
func (w *world) wantAgain(k work, label string, found, after map[string]string) {
	w.Helper()
	want := error(nil)
	if maps.Equal(found, after) {
		want = k.after
	}
	w.wantError(label+": again", k.do(w), want)
	w.wantSame(label+": again", w.seen(w.Store), after)
	w.restart()
	w.wantSame(label+": again, cold", w.seen(w.Store), after)
}

// The same where the process lives on: what it remembers is what there is.
func TestFailedWrite(t *testing.T) {
	for _, k := range works {
		t.Run(k.name, func(t *testing.T) {
			_, _, after := k.writes(t)
			k.cuts(t, func(w *world, number, mask int, label string) {
				w.seen(w.Store) // so that all there is to remember is remembered
				w.cut(number, mask, false)
				w.wantError(label, k.do(w), errCrash)
				w.disturb(nil)
				found := w.seen(w.open(w.opts))
				w.wantSame(label, w.seen(w.Store), found)
				w.wantAgain(k, label, found, after)
			})
		})
	}
}

// Where changes reach the disk in their order, as they do when a process is
// killed, a check finds nothing to complain of.
func TestKillLeavesNoFault(t *testing.T) {
	for _, k := range append(works, indexing) {
		t.Run(k.name, func(t *testing.T) {
			k.cuts(t, func(w *world, number, mask int, label string) {
				if mask&(mask+1) != 0 {
					return // not a beginning of the write
				}
				w.cut(number, mask, true)
				w.wantError(label, k.do(w), errCrash)
				w.disturb(nil)
				w.restart()
				for _, f := range w.check(false) {
					if k.leaves == "" || !strings.HasPrefix(f.What, k.leaves) {
						t.Errorf("%s: %s", label, f)
					}
				}
			})
		})
	}
}

// On a full disk everything that frees room can be done, and all that cannot be
// done says why and changes nothing.
func TestFull(t *testing.T) {
	each(t, func(w *world) {
		prepare(w)
		w.push(app, newImage, "c")
		w.disturb(func(changes []bucket.Change) error {
			for _, c := range changes {
				if !c.Delete {
					return fmt.Errorf("%w: /a/path", bucket.ErrFull)
				}
			}
			return nil
		})
		before := dump(w.T, w.Bucket)
		_, err := w.tryBlob(app, "more")
		w.wantError("push blob", err, bucket.ErrFull)
		w.wantError("mount", w.MountBlob(w.Context(), other, app, sum("data")), bucket.ErrFull)
		w.wantError("push manifest", tryPush(w.Context(), w.Store, app, oldSign, nil), bucket.ErrFull)
		w.wantError("move tag", tryPush(w.Context(), w.Store, app, newImage, nil, "a"), bucket.ErrFull)
		w.wantSame("after that", dump(w.T, w.Bucket), before)
		w.wantManifest(app, byTag("a"), oldImage)

		w.wantError("delete tag", w.DeleteTag(w.Context(), app, tag("c")), nil)
		w.wantError("delete manifest", w.DeleteManifest(w.Context(), app, sum(oldImage)), nil)
		w.wantError("delete blob", w.DeleteBlob(w.Context(), app, sum("data")), nil)
		w.wantTags(app)
		w.disturb(nil)
		w.restart()
		w.wantTags(app)
		w.wantManifest(app, byDigest(sum(newImage)), newImage)
		w.push(app, newImage, "a")
	})
}
