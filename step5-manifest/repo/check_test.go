package repo_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step5-manifest/repo"
)

func names(all ...ref.Name) []ref.Name { return all }

// check returns all faults.
func (w *world) check(repair bool) (all []repo.Fault) {
	w.Helper()
	w.wantError("Check", w.Check(w.Context(), repair, func(f repo.Fault) { all = append(all, f) }), nil)
	return all
}

func (w *world) faults(repair bool) (lines []string) {
	w.Helper()
	for _, f := range w.check(repair) {
		lines = append(lines, f.String())
	}
	slices.Sort(lines)
	return lines
}

// What the damaged store of the tests holds, and where.
var (
	manifests = "repositories/team/app/_manifests/"
	layerLink = func(d digest.Digest) string { return "repositories/team/app/_layers/sha256/" + d.Hex() + "/link" }
	revision  = func(raw string) string { return manifests + "revisions/sha256/" + sum(raw).Hex() + "/link" }
	tagLink   = func(text string) string { return manifests + "tags/" + text + "/current/link" }
	referrer  = func(subject, raw string) string {
		return manifests + "referrers/sha256/" + sum(subject).Hex() + "/sha256/" + sum(raw).Hex() + "/link"
	}
	blobKey = func(d digest.Digest) string { return "blobs/sha256/" + d.Hex()[:2] + "/" + d.Hex() + "/data" }

	set    = func(key, data string) bucket.Change { return bucket.Change{Key: key, Data: []byte(data)} }
	remove = func(key string) bucket.Change { return bucket.Change{Key: key, Delete: true} }

	old      = sum("old")
	oldIndex = index(oldImage)
	wrong    = image(oci.Descriptor{Digest: old, Size: 99})
)

func TestCheck(t *testing.T) {
	m, x := "manifest "+sum(oldImage).String(), "manifest "+sum(oldIndex).String()
	for _, tt := range []struct {
		name   string
		damage []bucket.Change
		// found is what a check names, mended what a repair says, left what remains.
		found, mended, left []string
	}{
		{"nothing is wrong", nil, nil, nil, nil},
		{"the link of a blob is empty", []bucket.Change{set(layerLink(old), "")},
			[]string{"blob " + old.String() + ": its link is damaged"},
			[]string{"blob " + old.String() + ": its link is damaged (link rewritten)"}, nil},
		{"the link of a blob names another", []bucket.Change{set(layerLink(old), sum("new").String())},
			[]string{"blob " + old.String() + ": its link is damaged"},
			[]string{"blob " + old.String() + ": its link is damaged (link rewritten)"}, nil},
		{"the link of a blob is full of something", []bucket.Change{set(layerLink(old), strings.Repeat("x", 1<<20))},
			[]string{"blob " + old.String() + ": its link is damaged"},
			[]string{"blob " + old.String() + ": its link is damaged (link rewritten)"}, nil},
		{"the link of a blob is missing", []bucket.Change{remove(layerLink(old))},
			[]string{m + ": refers to " + old.String() + ", which is missing; push it again"},
			[]string{m + ": refers to " + old.String() + ", which is missing; push it again"},
			[]string{m + ": refers to " + old.String() + ", which is missing; push it again"}},
		{"the bytes of a blob are missing", []bucket.Change{remove(blobKey(old))},
			[]string{"blob " + old.String() + ": its bytes are missing", m + ": refers to " + old.String() + ", which is missing; push it again"},
			[]string{"blob " + old.String() + ": its bytes are missing (link removed)", m + ": refers to " + old.String() + ", which is missing; push it again"},
			[]string{m + ": refers to " + old.String() + ", which is missing; push it again"}},
		{"the link of a manifest is empty", []bucket.Change{set(revision(oldImage), "")},
			[]string{m + ": its link is damaged"}, []string{m + ": its link is damaged (link rewritten)"}, nil},
		{"the link of a manifest is missing", []bucket.Change{remove(revision(oldImage))},
			[]string{x + ": refers to " + sum(oldImage).String() + ", which is missing; push it again",
				"tag a: refers to " + m + ", which is missing"},
			[]string{x + ": refers to " + sum(oldImage).String() + ", which is missing; push it again",
				"tag a: refers to " + m + ", which is missing (tag removed; its history says what it referred to)"},
			[]string{x + ": refers to " + sum(oldImage).String() + ", which is missing; push it again"}},
		{"the bytes of a manifest are missing", []bucket.Change{remove(blobKey(sum(newImage)))},
			[]string{"manifest " + sum(newImage).String() + ": its bytes are missing"},
			[]string{"manifest " + sum(newImage).String() + ": its bytes are missing (link removed)",
				"tag b: refers to manifest " + sum(newImage).String() + ", which is missing (tag removed; its history says what it referred to)"}, nil},
		{"the bytes of a manifest are damaged", []bucket.Change{set(blobKey(sum(newImage)), "{}")},
			[]string{"manifest " + sum(newImage).String() + ": its bytes are damaged"},
			[]string{"manifest " + sum(newImage).String() + ": its bytes are damaged (link removed)",
				"tag b: refers to manifest " + sum(newImage).String() + ", which is missing (tag removed; its history says what it referred to)"}, nil},
		{"the bytes of a signature are missing", []bucket.Change{remove(blobKey(sum(oldSign)))},
			[]string{"manifest " + sum(oldSign).String() + ": its bytes are missing", "referrer " + sum(oldSign).String() + ": the manifest is missing or has another subject"},
			[]string{"manifest " + sum(oldSign).String() + ": its bytes are missing (link removed)", "referrer " + sum(oldSign).String() + ": the manifest is missing or has another subject (link removed)"}, nil},
		{"a manifest that is none", []bucket.Change{set(revision("{}"), sum("{}").String()), set(blobKey(sum("{}")), "{}")},
			[]string{"manifest " + sum("{}").String() + ": invalid manifest: schemaVersion: want 2"},
			[]string{"manifest " + sum("{}").String() + ": invalid manifest: schemaVersion: want 2"},
			[]string{"manifest " + sum("{}").String() + ": invalid manifest: schemaVersion: want 2"}},
		{"a manifest that another registry took with a wrong size", []bucket.Change{set(revision(wrong), sum(wrong).String()), set(blobKey(sum(wrong)), wrong)},
			[]string{"manifest " + sum(wrong).String() + ": invalid manifest: " + old.String() + ": said to have 99 bytes, but has 3"},
			[]string{"manifest " + sum(wrong).String() + ": invalid manifest: " + old.String() + ": said to have 99 bytes, but has 3"},
			[]string{"manifest " + sum(wrong).String() + ": invalid manifest: " + old.String() + ": said to have 99 bytes, but has 3"}},
		{"a tag leads nowhere", []bucket.Change{set(tagLink("b"), sum("nowhere").String())},
			[]string{"tag b: refers to manifest " + sum("nowhere").String() + ", which is missing"},
			[]string{"tag b: refers to manifest " + sum("nowhere").String() + ", which is missing (tag removed; its history says what it referred to)"}, nil},
		{"the link of a tag is empty", []bucket.Change{set(tagLink("b"), "")},
			[]string{"tag b: its link is damaged"}, []string{"tag b: its link is damaged (tag removed; its history says what it referred to)"}, nil},
		{"a tag without its link: a folder that others take for a tag", []bucket.Change{remove(tagLink("b"))},
			[]string{"tag b: its link is missing"}, []string{"tag b: its link is missing (tag removed; its history says what it referred to)"}, nil},
		{"a tag that cannot be one", []bucket.Change{set(tagLink("-x"), sum(oldImage).String())},
			[]string{`tag "-x": not a tag`}, []string{`tag "-x": not a tag`}, []string{`tag "-x": not a tag`}},
		{"a referrer is missing", []bucket.Change{remove(referrer(oldImage, oldSign))},
			[]string{"referrer " + sum(oldSign).String() + ": not in the index of referrers"},
			[]string{"referrer " + sum(oldSign).String() + ": not in the index of referrers (link written)"}, nil},
		{"a referrer too many", []bucket.Change{set(referrer(newImage, oldSign), sum(oldSign).String())},
			[]string{"referrer " + sum(oldSign).String() + ": the manifest is missing or has another subject"},
			[]string{"referrer " + sum(oldSign).String() + ": the manifest is missing or has another subject (link removed)"}, nil},
		{"no index of referrers: another program wrote the store", []bucket.Change{remove(referrer(oldImage, oldSign)), remove(manifests + "referrers/complete")},
			nil, nil, nil},
		{"other keys are not looked at", []bucket.Change{set(manifests+"revisions/sha256/x/link", ""), set(manifests+"referrers/x", ""), set("repositories/team/app/_layers/x", "")},
			nil, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(w *world) {
				prepare(w)
				w.push(app, newImage, "b")
				w.push(app, oldSign)
				w.push(app, oldIndex)
				w.simple(other, "elsewhere", "v1")
				w.restart()
				w.seen(w.Store)
				w.wantError("Write", w.Bucket.Write(w.Context(), tt.damage...), nil)

				damaged := dump(w.T, w.Bucket)
				w.wantLines("found", w.faults(false), tt.found)
				w.wantSame("after a check", dump(w.T, w.Bucket), damaged)
				w.wantLines("mended", w.faults(true), tt.mended)
				w.wantLines("left", w.faults(false), tt.left)
				if tt.mended != nil {
					w.wantSame("warm, after the repair", w.seen(w.Store), w.seen(w.open(w.opts)))
				}
			})
		})
	}
}

func (w *world) wantLines(what string, got, want []string) {
	w.Helper()
	want = slices.Clone(want)
	for i := range want {
		want[i] = "team/app: " + want[i]
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.Errorf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// brokenList is a bucket that cannot be listed.
type brokenList struct{ bucket.Bucket }

func (brokenList) List(context.Context, string, string, bool) iter.Seq2[bucket.Info, error] {
	return func(yield func(bucket.Info, error) bool) { yield(bucket.Info{}, errInjected) }
}

// What keeps a check from looking is an error, not a fault.
func TestCheckFails(t *testing.T) {
	w := newWorld(t, mem.New(), repo.Options{})
	prepare(w)
	broken := repo.New(brokenList{w.Bucket}, nil, repo.Options{})
	if err := broken.Check(t.Context(), true, func(f repo.Fault) { t.Errorf("fault %s", f) }); !errors.Is(err, errInjected) {
		t.Errorf("Check: %v", err)
	}
	w.disturb(func([]bucket.Change) error { return errInjected })
	w.wantError("Write", w.Bucket.Write(t.Context(), set(layerLink(old), "")), nil)
	err := w.Check(t.Context(), true, func(f repo.Fault) { t.Errorf("said to be mended: %s", f) })
	if !errors.Is(err, errInjected) || !strings.HasPrefix(err.Error(), "checking team/app: ") {
		t.Errorf("Check: %v", err)
	}
}
