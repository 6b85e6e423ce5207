package repo_test

import (
	"testing"

	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step5-manifest/repo"
)

func TestStats(t *testing.T) {
	w := newWorld(t, mem.New(), repo.Options{})
	name, v1 := ref.MustName("a"), ref.ByTag(ref.MustTag("v1"))
	w.simple(name, "x", "v1")
	w.restart()
	ask := func(reference ref.TagOrDigest) { w.Store.Manifest(t.Context(), name, reference) }
	ask(v1)
	ask(v1)
	ask(v1)
	ask(ref.ByTag(ref.MustTag("none")))
	got := w.Store.Stats()
	if got.Hits != 2 || got.Misses != 2 || got.Manifests == 0 || got.TagLists != 0 {
		t.Errorf("%+v", got)
	}
	if _, _, err := w.Store.Tags(t.Context(), name, "", 10); err != nil || w.Store.Stats().TagLists == 0 {
		t.Errorf("%v, %+v", err, w.Store.Stats())
	}
}
