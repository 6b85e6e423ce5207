package repo_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
)

// wantReferrers wants the manifests raws, of all types or of one, to be what
// refers to the subject.
func (w *world) wantReferrers(n ref.Name, subject, artifactType string, raws ...string) {
	w.Helper()
	found, more, err := w.Referrers(w.Context(), n, sum(subject), artifactType, digest.Digest{}, 1000, 1<<20)
	if err != nil || more {
		w.Errorf("referrers: %v, %v", more, err)
	}
	var got, want []string
	for _, d := range found {
		got = append(got, d.Digest.String())
	}
	for _, raw := range raws {
		want = append(want, sum(raw).String())
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.Errorf("referrers %v; want %v", got, want)
	}
}

func TestReferrers(t *testing.T) {
	each(t, func(w *world) {
		w.wantReferrers(app, "nowhere", "")
		subject := w.simple(app, "subject", "v1")
		w.wantReferrers(app, subject, "")
		sig := signature(w.blob(app, "sig"), "application/vnd.sig", subject)
		sbom := signature(w.blob(app, "sbom"), "application/vnd.sbom", subject)
		w.push(app, sig)
		w.push(app, sbom, "sbom")
		// Its type is that of its config, as nothing else says it.
		s := describe(oci.MediaTypeImageManifest, subject)
		helm := w.blob(app, "helm")
		helm.MediaType = "application/vnd.helm"
		plain := encode(oci.Manifest{SchemaVersion: 2, Config: helm, Subject: &s, Annotations: map[string]string{"k": "v"}})
		w.push(app, plain)
		// An index can refer to something as well, and to what is not there.
		x := encode(oci.Index{SchemaVersion: 2, ArtifactType: "application/vnd.sig", Subject: &s})
		w.push(app, x)
		early := signature(w.blob(app, "sig"), "application/vnd.sig", "pushed later")
		w.push(app, early)

		for range 2 {
			w.wantReferrers(app, subject, "", sig, sbom, plain, x)
			w.wantReferrers(app, subject, "application/vnd.sig", sig, x)
			w.wantReferrers(app, subject, "application/vnd.helm", plain)
			w.wantReferrers(app, subject, "application/vnd.none")
			w.wantReferrers(app, "pushed later", "", early)
			w.wantReferrers(app, sig, "")
			w.wantReferrers(other, subject, "")
			w.restart()
		}
		found, _, err := w.Referrers(w.Context(), app, sum(subject), "application/vnd.helm", digest.Digest{}, 10, 1<<20)
		want := describe(oci.MediaTypeImageManifest, plain)
		want.ArtifactType, want.Annotations = "application/vnd.helm", map[string]string{"k": "v"}
		if err != nil || len(found) != 1 || encode(found[0]) != encode(want) {
			w.Errorf("descriptor %s, %v; want %s", encode(found), err, encode(want))
		}
		// The subject goes, what refers to it stays.
		w.wantError("delete", w.DeleteManifest(w.Context(), app, sum(subject)), nil)
		w.wantReferrers(app, subject, "", sig, sbom, plain, x)
	})
}

func TestReferrerPages(t *testing.T) {
	each(t, func(w *world) {
		subject := w.simple(app, "subject")
		config := w.blob(app, "c")
		var want []string
		for i := range 7 {
			want = append(want, w.push(app, signature(config, fmt.Sprintf("application/vnd.%d", i%2), subject)+strings.Repeat(" ", i)).String())
		}
		slices.Sort(want)
		for _, tt := range []struct {
			name        string
			n, maxBytes int
			pages       int
		}{
			{"all at once", 7, 1 << 20, 1},
			{"by number", 3, 1 << 20, 3},
			{"by bytes: one always fits", 7, 1, 7},
			{"by bytes: two of about 300", 7, 700, 4},
		} {
			var got []string
			pages := 0
			for after, more := (digest.Digest{}), true; more; pages++ {
				found, again, err := w.Referrers(w.Context(), app, sum(subject), "", after, tt.n, tt.maxBytes)
				if err != nil || len(found) == 0 {
					w.Fatalf("%s: page %d: %v, %v", tt.name, pages, found, err)
				}
				for _, d := range found {
					got = append(got, d.Digest.String())
				}
				after, more = found[len(found)-1].Digest, again
			}
			if !slices.Equal(got, want) || pages != tt.pages {
				w.Errorf("%s: %d pages: %v; want %d: %v", tt.name, pages, got, tt.pages, want)
			}
		}
	})
}

// strip takes away what docker-registry would not have written.
func (w *world) strip(n ref.Name) {
	w.Helper()
	var changes []bucket.Change
	for key := range maps.Keys(dump(w.T, w.Bucket)) {
		if strings.HasPrefix(key, "repositories/"+n.String()+"/_manifests/referrers/") || strings.Contains(key, "/history/") {
			changes = append(changes, bucket.Change{Key: key, Delete: true})
		}
	}
	w.wantError("Write", w.Bucket.Write(w.Context(), changes...), nil)
	w.restart()
}

// A store that another program wrote has no index of referrers; it is built when
// it is first needed, whatever happens before that.
func TestReferrersOfForeignStore(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first func(w *world, subject string) []string // what it pushes
	}{
		{"listed at once", func(w *world, subject string) []string { return nil }},
		{"after a push", func(w *world, subject string) []string {
			raw := signature(w.blob(app, "late"), "application/vnd.sig", subject)
			w.push(app, raw)
			return []string{raw}
		}},
		{"after a push of something else", func(w *world, subject string) []string {
			w.simple(app, "unrelated", "latest")
			return nil
		}},
		{"after the deletion of the subject", func(w *world, subject string) []string {
			w.wantError("delete", w.DeleteManifest(w.Context(), app, sum(subject)), nil)
			return nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(w *world) {
				subject := w.simple(app, "subject", "v1")
				sig := signature(w.blob(app, "sig"), "application/vnd.sig", subject)
				w.push(app, sig)
				w.strip(app)
				want := append(tt.first(w, subject), sig)
				w.wantReferrers(app, subject, "", want...)
				w.restart()
				w.wantReferrers(app, subject, "", want...)
				if _, err := w.Bucket.Stat(t.Context(), "repositories/team/app/_manifests/referrers/complete"); err != nil {
					t.Errorf("the index is not marked as complete: %v", err)
				}
			})
		})
	}
}

// To ask for the referrers in a repository that is not there makes none.
func TestReferrersMakeNothing(t *testing.T) {
	each(t, func(w *world) {
		w.wantReferrers(app, "x", "")
		w.wantSame("after that", dump(w.T, w.Bucket), map[string]string{})
		// And its first push is marked as the first.
		sig := signature(w.blob(app, "sig"), "application/vnd.sig", "x")
		w.push(app, sig)
		if _, err := w.Bucket.Stat(w.Context(), "repositories/team/app/_manifests/referrers/complete"); err != nil {
			w.Errorf("the index is not marked as complete: %v", err)
		}
		w.wantReferrers(app, "x", "", sig)
	})
}
