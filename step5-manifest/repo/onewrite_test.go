package repo_test

import (
	"testing"

	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step5-manifest/repo"
)

// A manifest and the tags that are pushed with it are one Write, so that a disk
// without room for all of it takes none.
func TestPushIsOneWrite(t *testing.T) {
	w := newWorld(t, mem.New(), repo.Options{})
	prepare(w)
	writes := 0
	w.disturb(func([]bucket.Change) error {
		writes++
		return nil
	})
	w.push(app, newImage, "a", "c")
	if writes != 1 {
		t.Errorf("a push is %d writes, want 1", writes)
	}
}
