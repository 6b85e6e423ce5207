package repo_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step5-manifest/repo"
)

func tags(texts ...string) (all []ref.Tag) {
	for _, text := range texts {
		all = append(all, tag(text))
	}
	return all
}

func reference(text string) ref.TagOrDigest {
	r, err := ref.ParseTagOrDigest(text)
	if err != nil {
		panic(err)
	}
	return r
}

// wantTags wants the repository to list exactly these.
func (w *world) wantTags(n ref.Name, want ...string) {
	w.Helper()
	got, more, err := w.Tags(w.Context(), n, "", 1000)
	if !slices.Equal(got, want) || more || err != nil {
		w.Errorf("tags %v, %v, %v; want %v", got, more, err, want)
	}
}

func is(want digest.Digest) repo.Condition {
	return func(current digest.Digest) bool { return current == want }
}

func TestConditions(t *testing.T) {
	each(t, func(w *world) {
		one, two := w.simple(app, "one", "v1"), w.simple(app, "two")
		absent := is(digest.Digest{})
		for _, tt := range []struct {
			name string
			raw  string
			tags []string
			cond repo.Condition
			want error
		}{
			{"none: a tag that is there", one, []string{"v1"}, nil, nil},
			{"absent, but it is there", two, []string{"v1"}, absent, repo.ErrCondition},
			{"absent, and it is", one, []string{"new"}, absent, nil},
			{"absent, but another push made it", two, []string{"new"}, absent, repo.ErrCondition},
			{"match", two, []string{"new"}, is(sum(one)), nil},
			{"no match any more", one, []string{"new"}, is(sum(one)), repo.ErrCondition},
			{"match of what is not there", one, []string{"never"}, is(sum(one)), repo.ErrCondition},
			{"one of several tags is not", two, []string{"new2", "v1"}, absent, repo.ErrCondition},
			{"by digest: absent, but it is there", one, nil, absent, repo.ErrCondition},
			{"by digest: match", one, nil, is(sum(one)), nil},
		} {
			w.wantError(tt.name, tryPush(w.Context(), w.Store, app, tt.raw, tt.cond, tt.tags...), tt.want)
		}
		w.wantManifest(app, byTag("v1"), one)
		w.wantManifest(app, byTag("new"), two)
		w.wantTags(app, "new", "v1") // none of those that were refused
		w.wantError("delete", w.DeleteTag(w.Context(), app, tag("new")), nil)
		w.wantError("absent again", tryPush(w.Context(), w.Store, app, one, absent, "new"), nil)
	})
}

// A push that is refused stores nothing, not even the manifest.
func TestConditionKeepsNothing(t *testing.T) {
	each(t, func(w *world) {
		w.simple(app, "one", "v1")
		raw := image(w.blob(app, "two"))
		before := dump(w.T, w.Bucket)
		w.wantError("push", tryPush(w.Context(), w.Store, app, raw, is(digest.Digest{}), "v1"), repo.ErrCondition)
		w.wantSame("after that", dump(w.T, w.Bucket), before)
	})
}

// Of several who want to create a tag, one does. Two processes race as well as
// two requests where the bucket has more than one writer.
func TestRacingCreates(t *testing.T) {
	each(t, func(w *world) {
		var raws []string
		for _, content := range []string{"a", "b", "c", "d"} {
			raws = append(raws, image(w.blob(app, content)))
		}
		for _, sole := range []bool{true, false} {
			w.sole = sole
			w.restart()
			stores := []*repo.Store{w.Store, w.Store, w.Store, w.Store}
			if !sole {
				stores[1], stores[2] = w.open(w.opts), w.open(w.opts)
			}
			errs := make([]error, len(raws))
			text := "sole"
			if !sole {
				text = "shared"
			}
			var all sync.WaitGroup
			for i, raw := range raws {
				all.Go(func() { errs[i] = tryPush(w.Context(), stores[i], app, raw, is(digest.Digest{}), text) })
			}
			all.Wait()
			winner := -1
			for i, err := range errs {
				switch {
				case err == nil && winner < 0:
					winner = i
				case !errors.Is(err, repo.ErrCondition):
					w.Errorf("%s: push %d: %v", text, i, err)
				}
			}
			if winner < 0 {
				w.Fatalf("%s: nobody created the tag", text)
			}
			w.wantManifest(app, byTag(text), raws[winner])
		}
	})
}

func TestSeveralTags(t *testing.T) {
	each(t, func(w *world) {
		one := w.simple(app, "one", "1", "1.2", "1.2.3", "latest")
		w.wantTags(app, "1", "1.2", "1.2.3", "latest")
		two := w.simple(app, "two", "1", "latest")
		for range 2 {
			w.wantManifest(app, byTag("1.2"), one)
			w.wantManifest(app, byTag("1"), two)
			w.wantManifest(app, byTag("latest"), two)
			w.restart()
		}
	})
}
