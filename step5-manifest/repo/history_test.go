package repo_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step5-manifest/repo"
)

// history reads all of a tag's history in pages of n.
func (w *world) history(n ref.Name, t ref.Tag, page int) (all []repo.HistoryEntry) {
	w.Helper()
	for after, more := "", true; more; {
		var entries []repo.HistoryEntry
		var err error
		if entries, more, err = w.History(w.Context(), n, t, after, page); err != nil {
			w.Fatal(err)
		}
		if more && len(entries) != page {
			w.Errorf("a page of %d, and there are more", len(entries))
		}
		all = append(all, entries...)
		if len(entries) > 0 {
			after = entries[len(entries)-1].ID
		}
	}
	return all
}

func TestHistory(t *testing.T) {
	type caller struct{}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, mem.New(), repo.Options{Caller: func(ctx context.Context) string {
			who, _ := ctx.Value(caller{}).(string)
			return who
		}})
		as := func(who string) context.Context { return context.WithValue(t.Context(), caller{}, who) }
		one, two := w.simple(app, "one"), w.simple(app, "two")
		start := time.Now().UTC()
		var want []string
		note := func(d digest.Digest, by string) {
			want = append(want, fmt.Sprint(d, " ", time.Since(start), " ", by))
			<-time.After(time.Hour) // in the bubble, time passes only so
		}
		w.wantError("push", tryPush(as("ann"), w.Store, app, one, nil, "v1", "other"), nil)
		note(sum(one), "ann")
		w.wantError("push", tryPush(as("bob"), w.Store, app, two, nil, "v1"), nil)
		note(sum(two), "bob")
		w.wantError("delete", w.DeleteTag(as("cat"), app, tag("v1")), nil)
		note(digest.Digest{}, "cat")
		w.push(app, one, "v1")
		note(sum(one), "")
		w.wantError("delete", w.DeleteManifest(as("dan"), app, sum(one)), nil)
		note(digest.Digest{}, "dan")

		for _, page := range []int{1, 2, 5, 100} {
			var got []string
			for _, e := range w.history(app, tag("v1"), page) {
				got = append(got, fmt.Sprint(e.Digest, " ", e.Time.Sub(start), " ", e.By))
			}
			if !slices.Equal(got, want) {
				t.Errorf("in pages of %d: %q; want %q", page, got, want)
			}
			w.restart()
		}
		if got := w.history(app, tag("other"), 10); len(got) != 2 {
			t.Errorf("history of the other tag: %+v", got)
		}
		if got := w.history(app, tag("v"), 10); len(got) != 0 {
			t.Errorf("history of a tag that never was: %+v", got)
		}
	})
}

// Entries of the same instant keep their order.
func TestHistoryAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, mem.New(), repo.Options{})
		var want []digest.Digest
		for i := range 20 {
			want = append(want, sum(w.simple(app, fmt.Sprint(i), "v1")))
		}
		var got []digest.Digest
		for _, e := range w.history(app, tag("v1"), 3) {
			got = append(got, e.Digest)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v; want %v", got, want)
		}
	})
}

// The history is written with the tag, and lies where it belongs in each bucket.
func TestHistoryIsKept(t *testing.T) {
	each(t, func(w *world) {
		raw := w.simple(app, "one", "v1")
		w.wantError("delete", w.DeleteTag(w.Context(), app, tag("v1")), nil)
		w.restart()
		got := w.history(app, tag("v1"), 10)
		if len(got) != 2 || got[0].Digest != sum(raw) || !got[1].Digest.IsZero() || got[1].ID <= got[0].ID {
			w.Errorf("%+v", got)
		}
		w.wantTags(app)
	})
}

func TestHistoryDamaged(t *testing.T) {
	w := newWorld(t, mem.New(), repo.Options{})
	w.simple(app, "one", "v1")
	key := "repositories/team/app/_manifests/history/v1/x"
	w.wantError("Write", w.Bucket.Write(t.Context(), bucket.Change{Key: key, Data: []byte("{")}), nil)
	if _, _, err := w.History(t.Context(), app, tag("v1"), "", 10); err == nil {
		t.Error("a damaged entry was read")
	}
}
