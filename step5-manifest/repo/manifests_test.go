package repo_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
)

func TestManifests(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		_, _, err := w.Manifest(ctx, app, byTag("v1"))
		w.wantError("before anything", err, repo.ErrNameUnknown)

		one := w.simple(app, "one", "v1", "latest")
		two := w.simple(app, "two", "v2")
		untagged := w.simple(app, "untagged")
		for range 2 {
			w.wantManifest(app, byTag("v1"), one)
			w.wantManifest(app, byTag("latest"), one)
			w.wantManifest(app, byTag("v2"), two)
			w.wantManifest(app, byDigest(sum(one)), one)
			w.wantManifest(app, byDigest(sum(untagged)), untagged)
			_, _, err := w.Manifest(ctx, app, byTag("v3"))
			w.wantError("an absent tag", err, repo.ErrManifestUnknown)
			_, _, err = w.Manifest(ctx, other, byDigest(sum(one)))
			w.wantError("in another repository", err, repo.ErrNameUnknown)
			w.restart()
		}
		w.push(app, two, "latest")
		w.wantManifest(app, byTag("latest"), two)
		w.wantManifest(app, byTag("v1"), one)
		w.restart()
		w.wantManifest(app, byTag("latest"), two)
	})
}

// The media type comes back as it was pushed, cold and warm.
func TestManifestTypes(t *testing.T) {
	each(t, func(w *world) {
		d := encode(w.blob(app, "data"))
		for _, tt := range []struct{ name, raw, want string }{
			{"its own", `{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":` + d + `,"layers":[]}`, oci.MediaTypeDockerManifest},
			{"of the shape of an image", `{"schemaVersion":2,"config":` + d + `,"manifests":null}`, oci.MediaTypeImageManifest},
			{"of the shape of an index", `{"schemaVersion":2,"manifests":[]}`, oci.MediaTypeImageIndex},
			{"of the shape of an artifact", `{"blobs":[` + d + `]}`, oci.MediaTypeArtifactManifest},
		} {
			w.push(app, tt.raw)
			for _, when := range []string{"warm", "cold"} {
				desc, _, err := w.Manifest(w.Context(), app, byDigest(sum(tt.raw)))
				if err != nil || desc.MediaType != tt.want {
					w.Errorf("%s, %s: %q, %v; want %q", tt.name, when, desc.MediaType, err, tt.want)
				}
				w.restart()
			}
		}
	})
}

func TestSha512(t *testing.T) {
	each(t, func(w *world) {
		raw := image(w.blob(app, "data"))
		m, err := manifest.Parse("", []byte(raw))
		if err != nil {
			w.Fatal(err)
		}
		d := digest.SHA512.FromBytes([]byte(raw))
		w.wantError("push", w.PushManifest(w.Context(), app, repo.Push{Digest: d, Raw: []byte(raw), Manifest: m, Tags: tags("v1")}), nil)
		w.restart()
		desc, got, err := w.Manifest(w.Context(), app, byTag("v1"))
		if desc.Digest != d || string(got) != raw || err != nil {
			w.Errorf("got %s, %v", desc.Digest, err)
		}
		_, _, err = w.Manifest(w.Context(), app, byDigest(sum(raw)))
		w.wantError("by a digest it was not pushed by", err, repo.ErrManifestUnknown)
		w.wantError("delete", w.DeleteManifest(w.Context(), app, d), nil)
		_, _, err = w.Manifest(w.Context(), app, byTag("v1"))
		w.wantError("after that", err, repo.ErrManifestUnknown)
	})
}

func TestDeleteTag(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.wantError("in no repository", w.DeleteTag(ctx, app, tag("v1")), repo.ErrNameUnknown)
		raw := w.simple(app, "one", "v1", "v2")
		w.wantError("delete", w.DeleteTag(ctx, app, tag("v1")), nil)
		for range 2 {
			_, _, err := w.Manifest(ctx, app, byTag("v1"))
			w.wantError("after that", err, repo.ErrManifestUnknown)
			w.wantError("again", w.DeleteTag(ctx, app, tag("v1")), repo.ErrManifestUnknown)
			w.wantManifest(app, byTag("v2"), raw)
			w.wantManifest(app, byDigest(sum(raw)), raw)
			w.restart()
		}
		for key := range dump(w.T, w.Bucket) {
			if strings.Contains(key, "/tags/v1/") {
				w.Errorf("%s is left; to docker-registry that is a tag", key)
			}
		}
		w.push(app, raw, "v1")
		w.wantManifest(app, byTag("v1"), raw)
	})
}

// With a manifest go all tags that refer to it, and its place among the referrers.
func TestDeleteManifest(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		w.wantError("in no repository", w.DeleteManifest(ctx, app, sum("x")), repo.ErrNameUnknown)
		raw := w.simple(app, "one", "v1", "latest")
		kept := w.simple(app, "two", "v2")
		signed := signature(w.blob(app, "sig"), "application/vnd.sig", raw)
		w.push(app, signed)
		w.push(other, image(w.blob(other, "one")), "v1") // the same manifest elsewhere

		w.wantError("delete", w.DeleteManifest(ctx, app, sum(raw)), nil)
		w.wantError("delete the signature", w.DeleteManifest(ctx, app, sum(signed)), nil)
		for range 2 {
			for _, r := range []string{"v1", "latest", sum(raw).String(), sum(signed).String()} {
				_, _, err := w.Manifest(ctx, app, reference(r))
				w.wantError(r, err, repo.ErrManifestUnknown)
			}
			w.wantError("again", w.DeleteManifest(ctx, app, sum(raw)), repo.ErrManifestUnknown)
			w.wantManifest(app, byTag("v2"), kept)
			w.wantManifest(other, byTag("v1"), raw)
			w.wantTags(app, "v2")
			w.wantReferrers(app, raw, "")
			w.restart()
		}
	})
}

func TestMissing(t *testing.T) {
	foreign := describe(oci.MediaTypeDockerForeignLayerGzip, "not to be distributed")
	absent := describe(oci.MediaTypeImageLayer, "absent")
	for _, tt := range []struct {
		name    string
		policy  repo.MissingPolicy
		raw     func(config oci.Descriptor) string
		missing []digest.Digest
	}{
		{"reject is the default", "", func(c oci.Descriptor) string { return image(c, absent) }, []digest.Digest{absent.Digest}},
		{"reject a config", repo.RejectMissing, func(oci.Descriptor) string { return image(absent) }, []digest.Digest{absent.Digest}},
		{"all are named", repo.RejectMissing, func(c oci.Descriptor) string { return image(absent, c, describe("", "absent too")) },
			[]digest.Digest{absent.Digest, sum("absent too")}},
		{"reject in an index", repo.RejectMissing, func(oci.Descriptor) string { return index("absent") }, []digest.Digest{sum("absent")}},
		{"a layer that may not be distributed", repo.RejectMissing, func(c oci.Descriptor) string { return image(c, foreign) }, nil},
		{"index: a sparse one", repo.AllowMissingInIndex, func(oci.Descriptor) string { return index("absent") }, nil},
		{"index: not an image", repo.AllowMissingInIndex, func(c oci.Descriptor) string { return image(c, absent) }, []digest.Digest{absent.Digest}},
		{"allow: an image", repo.AllowMissing, func(oci.Descriptor) string { return image(absent, absent) }, nil},
		{"allow: an index", repo.AllowMissing, func(oci.Descriptor) string { return index("absent") }, nil},
		{"a subject may always be missing", repo.RejectMissing, func(c oci.Descriptor) string { return signature(c, "application/x", "absent") }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, mem.New(), repo.Options{Missing: tt.policy})
			raw := tt.raw(w.blob(app, "config"))
			before := dump(t, w.Bucket)
			err := tryPush(t.Context(), w.Store, app, raw, nil, "t")
			var missing *repo.MissingError
			var got []digest.Digest
			if errors.As(err, &missing) {
				for _, d := range missing.Missing {
					got = append(got, d.Digest)
				}
			}
			if !slices.Equal(got, tt.missing) || (err == nil) != (tt.missing == nil) {
				t.Fatalf("push: %v; want %v to be missing", err, tt.missing)
			}
			if err == nil {
				w.wantManifest(app, byTag("t"), raw)
				return
			}
			w.wantError("push", err, repo.ErrReferenceUnknown)
			w.wantSame("after the refusal", dump(t, w.Bucket), before)
		})
	}
}

// An error names some of the children that are missing, not all of a thousand.
func TestMissingIsBounded(t *testing.T) {
	w := newWorld(t, mem.New(), repo.Options{})
	var layers []oci.Descriptor
	for i := range 1000 {
		layers = append(layers, describe(oci.MediaTypeImageLayer, fmt.Sprint(i)))
	}
	var missing *repo.MissingError
	if err := tryPush(t.Context(), w.Store, app, image(w.blob(app, "c"), layers...), nil); !errors.As(err, &missing) || len(missing.Missing) != 20 {
		t.Errorf("push: %v", err)
	}
}

// Children of an index may be manifests or, in build caches, blobs; both of the
// same repository.
func TestIndexChildren(t *testing.T) {
	each(t, func(w *world) {
		one := w.simple(app, "one")
		w.push(app, index(one), "index")
		w.push(app, index(index(one)), "nested")
		w.push(app, encode(oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{w.blob(app, "layer")}}), "cache")
		elsewhere := w.simple(other, "elsewhere")
		err := tryPush(w.Context(), w.Store, app, index(elsewhere), nil)
		w.wantError("a child of another repository", err, repo.ErrReferenceUnknown)
		err = tryPush(w.Context(), w.Store, app, image(describe("", one)), nil)
		w.wantError("a manifest as a layer", err, repo.ErrReferenceUnknown)
	})
}

func TestSizes(t *testing.T) {
	each(t, func(w *world) {
		blob, child := w.blob(app, "data"), describe("", w.simple(app, "child"))
		longer := func(d oci.Descriptor) oci.Descriptor { d.Size++; return d }
		for _, tt := range []struct{ name, raw string }{
			{"config", image(longer(blob))},
			{"layer", image(blob, longer(blob))},
			{"entry of an index", encode(oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{longer(child)}})},
		} {
			err := tryPush(w.Context(), w.Store, app, tt.raw, nil, "t")
			w.wantError(tt.name, err, manifest.ErrInvalid)
			if want := "has "; err == nil || !strings.Contains(err.Error(), want) {
				w.Errorf("%s: %v; want it to say what the size is", tt.name, err)
			}
		}
		_, _, err := w.Manifest(w.Context(), app, byTag("t"))
		w.wantError("after that", err, repo.ErrManifestUnknown)
	})
}

// A manifest that is damaged on disk is not served; to push it again mends it.
func TestDamagedManifest(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.Context()
		raw := w.simple(app, "one", "v1")
		key := "blobs/sha256/" + sum(raw).Hex()[:2] + "/" + sum(raw).Hex() + "/data"
		flipped := []byte(raw)
		flipped[3] ^= 1
		w.wantError("Write", w.Bucket.Write(ctx, bucket.Change{Key: key, Data: flipped}), nil)
		w.restart()
		_, _, err := w.Manifest(ctx, app, byTag("v1"))
		w.wantError("damaged", err, digest.ErrMismatch)
		w.push(app, raw)
		w.wantManifest(app, byTag("v1"), raw)
		w.restart()
		w.wantManifest(app, byTag("v1"), raw)
	})
}
