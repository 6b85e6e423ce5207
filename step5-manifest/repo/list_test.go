package repo_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step5-manifest/repo"
)

// list is Tags of a repository, or Repositories.
type list func(ctx context.Context, after string, n int) ([]string, bool, error)

func (w *world) tagList(n ref.Name) list {
	return func(ctx context.Context, after string, count int) ([]string, bool, error) {
		return w.Tags(ctx, n, after, count)
	}
}

func (w *world) catalog() list {
	return func(ctx context.Context, after string, n int) ([]string, bool, error) {
		return w.Repositories(ctx, after, n)
	}
}

// wantPages holds a list against what it should hold, by pages of many sizes and
// from cursors that are in it and that are not.
func (w *world) wantPages(what string, l list, all []string) {
	w.Helper()
	cursors := []string{"", "!", "zzzzzz", "~"}
	for _, name := range all {
		cursors = append(cursors, name, name+"0", name[:len(name)-1])
	}
	for _, after := range cursors {
		for n := range len(all) + 2 {
			rest := all
			if i := slices.IndexFunc(all, func(s string) bool { return s > after }); i > 0 {
				rest = all[i:]
			} else if i < 0 {
				rest = nil
			}
			want := rest[:min(n, len(rest))]
			got, more, err := l(w.Context(), after, n)
			if !slices.Equal(got, want) || more != (len(want) < len(rest)) || err != nil || got == nil {
				w.Errorf("%s: %d after %q: %q, %v, %v; want %q", what, n, after, got, more, err, want)
			}
		}
	}
}

func TestTagPages(t *testing.T) {
	each(t, func(w *world) {
		_, _, err := w.Tags(w.Context(), app, "", 10)
		w.wantError("no repository", err, repo.ErrNameUnknown)
		w.blob(app, "data")
		w.wantTags(app) // a repository without tags is one

		w.wantPages("none", w.tagList(app), []string{})
		one := w.simple(app, "one", "b", "1.10", "1.9", "B", "a-b", "a", "_x", "a.b")
		all := []string{"1.10", "1.9", "B", "_x", "a", "a-b", "a.b", "b"}
		w.wantPages("warm", w.tagList(app), all)
		w.restart()
		w.wantPages("cold", w.tagList(app), all)

		// Insertions and removals after the list was loaded.
		w.push(app, one, "0", "aa", "zz")
		w.push(app, one, "a")
		w.wantError("delete", w.DeleteTag(w.Context(), app, tag("B")), nil)
		all = []string{"0", "1.10", "1.9", "_x", "a", "a-b", "a.b", "aa", "b", "zz"}
		w.wantPages("changed", w.tagList(app), all)
		w.restart()
		w.wantPages("changed, cold", w.tagList(app), all)
		w.wantError("delete all", w.DeleteManifest(w.Context(), app, sum(one)), nil)
		w.wantPages("emptied", w.tagList(app), []string{})
		w.restart()
		w.wantPages("emptied, cold", w.tagList(app), []string{})
	})
}

func TestCatalogPages(t *testing.T) {
	each(t, func(w *world) {
		w.wantPages("empty", w.catalog(), []string{})
		// Byte order of the whole name, in which a folder walk would not find them.
		all := []string{"a", "a-b", "a-b/c", "a.b", "a/b", "a/b/c", "a/c", "team/app"}
		for _, text := range []string{"team/app", "a/b/c", "a-b", "a/b", "a", "a-b/c"} {
			w.simple(name(text), "one", "v1")
		}
		w.blob(name("a.b"), "blob alone")
		w.wantError("mount", w.MountBlob(w.Context(), name("a/c"), name("a.b"), sum("blob alone")), nil)
		w.wantPages("warm", w.catalog(), all)
		w.restart()
		w.wantPages("cold", w.catalog(), all)

		w.blob(name("aa"), "blob alone")
		w.wantError("delete", w.DeleteBlob(w.Context(), name("a.b"), sum("blob alone")), nil)
		all = []string{"a", "a-b", "a-b/c", "a/b", "a/b/c", "a/c", "aa", "team/app"}
		w.wantPages("changed", w.catalog(), all)
		w.restart()
		w.wantPages("changed, cold", w.catalog(), all)
	})
}

// What lies in the folder of the repositories and is none is not listed, nor are
// the leftovers of a tag.
func TestListsOfForeignStore(t *testing.T) {
	each(t, func(w *world) {
		raw := w.simple(app, "one", "v1")
		link := []byte(sum(raw).String())
		prefix := "repositories/team/app/_manifests/tags/"
		w.wantError("Write", w.Bucket.Write(w.Context(),
			bucket.Change{Key: prefix + "gone/index/sha256/" + sum(raw).Hex() + "/link", Data: link},
			bucket.Change{Key: prefix + "-dash/current/link", Data: link},
			bucket.Change{Key: prefix + "file", Data: link},
			bucket.Change{Key: "repositories/UPPER/_layers/sha256/x/link", Data: link},
			bucket.Change{Key: "repositories/uploading/_uploads/1/startedat", Data: link},
			bucket.Change{Key: "repositories/file", Data: link},
		), nil)
		w.restart()
		w.wantTags(app, "v1")
		w.wantPages("catalog", w.catalog(), []string{"team/app"})
	})
}

// A page of a list that was loaded costs no look into the bucket, however long
// the list is, and whatever was added to it meanwhile.
func TestPagesAreWarm(t *testing.T) {
	w := newWorld(t, mem.New(), repo.Options{})
	raw := w.simple(app, "one", "v1")
	link := []byte(sum(raw).String())
	const many = 100_000
	changes := make([]bucket.Change, many)
	for i := range changes {
		changes[i] = bucket.Change{Key: fmt.Sprintf("repositories/team/app/_manifests/tags/t%06d/current/link", i), Data: link}
	}
	w.wantError("Write", w.Bucket.Write(t.Context(), changes...), nil)
	w.restart()
	if got, more, err := w.Tags(t.Context(), app, "", 1); !slices.Equal(got, []string{"t000000"}) || !more || err != nil {
		t.Fatalf("first touch: %v, %v, %v", got, more, err)
	}
	w.Repositories(t.Context(), "", 1)
	w.push(app, raw, "t050000x")
	before := w.count()
	for _, tt := range []struct {
		after       string
		first, last string
	}{
		{"", "t000000", "t000099"},
		{"t0499", "t049900", "t049999"},
		{"t049950", "t049951", "t050049"}, // with the tag that was added
		{"t099899x", "t099900", "t099999"},
	} {
		got, _, err := w.Tags(t.Context(), app, tt.after, 100)
		if err != nil || len(got) != 100 || got[0] != tt.first || got[99] != tt.last {
			t.Errorf("page after %q: %v, %v", tt.after, got, err)
		}
	}
	if got, _, err := w.Repositories(t.Context(), "", 100); len(got) != 1 || err != nil {
		t.Errorf("catalog: %v, %v", got, err)
	}
	if n := w.count() - before; n != 0 {
		t.Errorf("warm pages read the bucket %d times", n)
	}
}

func TestManifestsListed(t *testing.T) {
	each(t, func(w *world) {
		list := func() (all []string) {
			for d, err := range w.Manifests(w.Context(), app) {
				w.wantError("Manifests", err, nil)
				all = append(all, d.String())
			}
			slices.Sort(all)
			return all
		}
		if got := list(); len(got) != 0 {
			w.Errorf("an empty repository has %q", got)
		}
		one, two := sum(w.simple(app, "one", "v1")), sum(w.simple(app, "two"))
		w.simple(other, "three", "v1")
		want := []string{one.String(), two.String()}
		slices.Sort(want)
		if got := list(); !slices.Equal(got, want) {
			w.Errorf("got %q, want %q", got, want)
		}
		for range w.Manifests(w.Context(), app) {
			break
		}
		w.wantError("delete", w.DeleteManifest(w.Context(), app, one), nil)
		if got := list(); !slices.Equal(got, []string{two.String()}) {
			w.Errorf("after a deletion: %q", got)
		}
		stopped, stop := context.WithCancel(w.Context())
		stop()
		for _, err := range w.Manifests(stopped, app) {
			w.wantError("stopped", err, context.Canceled)
		}
	})
}
