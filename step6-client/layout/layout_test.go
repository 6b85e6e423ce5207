package layout_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step6-client/layout"
)

// both runs a test over a layout in memory and one on the disk.
func both(t *testing.T, test func(t *testing.T, l *layout.Layout)) {
	t.Run("mem", func(t *testing.T) {
		l, err := layout.Create(t.Context(), mem.New())
		if err != nil {
			t.Fatal(err)
		}
		test(t, l)
	})
	t.Run("folder", func(t *testing.T) { test(t, create(t, t.TempDir()).Layout) })
}

func create(t *testing.T, path string) *layout.Folder {
	t.Helper()
	f, err := layout.CreateFolder(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func describe(mediaType string, raw []byte) oci.Descriptor {
	return oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

func content(raw []byte) func(int64) (io.ReadCloser, error) {
	return func(offset int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(raw[offset:])), nil
	}
}

func putBlob(t *testing.T, l *layout.Layout, text string) oci.Descriptor {
	t.Helper()
	d := describe("text/plain", []byte(text))
	if err := l.PutBlob(t.Context(), d, content([]byte(text))); err != nil {
		t.Fatal(err)
	}
	return d
}

func put(t *testing.T, l *layout.Layout, mediaType string, document any, name string) oci.Descriptor {
	t.Helper()
	raw, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	d := describe(mediaType, raw)
	if err := l.PutManifest(t.Context(), d, raw, name); err != nil {
		t.Fatal(err)
	}
	return d
}

// image is one of a config and layers with these texts.
func image(t *testing.T, l *layout.Layout, name string, subject *oci.Descriptor, texts ...string) oci.Descriptor {
	t.Helper()
	m := oci.Manifest{SchemaVersion: 2, MediaType: oci.MediaTypeImageManifest, Config: putBlob(t, l, "{}"), Subject: subject}
	for _, text := range texts {
		m.Layers = append(m.Layers, putBlob(t, l, text))
	}
	return put(t, l, m.MediaType, m, name)
}

func names(t *testing.T, l *layout.Layout) string {
	t.Helper()
	entries, err := l.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name)
	}
	return strings.Join(all, " ")
}

func readAll(t *testing.T, l *layout.Layout, d oci.Descriptor) string {
	t.Helper()
	r, err := l.OpenBlob(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestNamesAndDigests(t *testing.T) {
	both(t, func(t *testing.T, l *layout.Layout) {
		ctx := t.Context()
		const name = "localhost:5000/team/app:latest"
		if _, err := l.Resolve(ctx, name); !errors.Is(err, layout.ErrUnknown) {
			t.Errorf("resolved in an empty layout: %v", err)
		}
		one := image(t, l, name, nil, "one")
		for _, reference := range []string{name, one.Digest.String(), ""} {
			if d, err := l.Resolve(ctx, reference); err != nil || d.Digest != one.Digest || d.MediaType != one.MediaType || d.Size != one.Size || d.Annotations != nil {
				t.Errorf("%q resolves to %+v, %v", reference, d, err)
			}
		}
		two := image(t, l, "two", nil, "two")
		if _, err := l.Resolve(ctx, ""); !errors.Is(err, layout.ErrAmbiguous) {
			t.Errorf("the only one of two: %v", err)
		}
		// A name moves; what it led to is there still, by its digest.
		if err := l.SetName(ctx, name, two); err != nil {
			t.Fatal(err)
		}
		if got := names(t, l); got != "two "+name {
			t.Errorf("names: %s", got)
		}
		if d, err := l.Resolve(ctx, one.Digest.String()); err != nil || d.MediaType != one.MediaType {
			t.Errorf("without a name: %+v, %v", d, err)
		}
		if err := l.Remove(ctx, "two"); err != nil {
			t.Fatal(err)
		}
		if err := l.Remove(ctx, "two"); !errors.Is(err, layout.ErrUnknown) {
			t.Errorf("removed again: %v", err)
		}
		if err := l.Remove(ctx, ""); !errors.Is(err, layout.ErrUnknown) {
			t.Errorf("removed what has no name: %v", err)
		}
		if got := names(t, l); got != name {
			t.Errorf("names: %s", got)
		}
	})
}

func TestContentIsChecked(t *testing.T) {
	both(t, func(t *testing.T, l *layout.Layout) {
		ctx := t.Context()
		d := describe("text/plain", []byte("right"))
		for _, wrong := range []string{"wrong", "righ", "right and more", ""} {
			if err := l.PutBlob(ctx, d, content([]byte(wrong))); !errors.Is(err, digest.ErrMismatch) {
				t.Errorf("%q for %q: %v", wrong, "right", err)
			}
		}
		if _, err := l.OpenBlob(ctx, d); !errors.Is(err, layout.ErrUnknown) {
			t.Errorf("it is there: %v", err)
		}
		if err := l.PutBlob(ctx, d, content([]byte("right"))); err != nil {
			t.Fatal(err)
		}
		if err := l.PutBlob(ctx, d, func(int64) (io.ReadCloser, error) { panic("asked for what is there") }); err != nil {
			t.Error(err)
		}
		if got := readAll(t, l, d); got != "right" {
			t.Errorf("read %q", got)
		}
		d.Size++
		if _, err := l.OpenBlob(ctx, d); !errors.Is(err, digest.ErrMismatch) {
			t.Errorf("of another size: %v", err)
		}
		m := []byte(`{"schemaVersion":2,"manifests":[]}`)
		for _, bad := range []oci.Descriptor{
			describe(oci.MediaTypeImageManifest, m), // it is an index
			{MediaType: oci.MediaTypeImageIndex, Digest: d.Digest, Size: int64(len(m))},
			{MediaType: oci.MediaTypeImageIndex, Digest: digest.FromBytes(m), Size: 1},
		} {
			if err := l.PutManifest(ctx, bad, m, "x"); err == nil {
				t.Errorf("stored as %+v", bad)
			}
		}
		if got := names(t, l); got != "" {
			t.Errorf("names: %s", got)
		}
	})
}

// What other programs wrote into index.json is there after all of our changes.
func TestIndexKeepsTheRest(t *testing.T) {
	b := mem.New()
	l, err := layout.Create(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	const foreign = `{"mediaType":"application/x","digest":"blake3:00","size":5,"annotations":{"a":"b"}}`
	write(t, b, "index.json", `{"schemaVersion":2,"manifests":[`+foreign+`],"annotations":{"k":"v <&>"},"com.example":[1,{"deep":2}]}`)
	image(t, l, "x", nil, "one")
	image(t, l, "x", nil, "two")
	if err := l.Remove(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	raw, _, err := bucket.ReadAll(t.Context(), b, "index.json", layout.MaxIndex)
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range []string{foreign, `"annotations":{"k":"v <&>"}`, `"com.example":[1,{"deep":2}]`} {
		if !strings.Contains(string(raw), kept) {
			t.Errorf("%s is not in %s", kept, raw)
		}
	}
}

func write(t *testing.T, b bucket.Bucket, key, text string) {
	t.Helper()
	if err := b.Write(t.Context(), bucket.Change{Key: key, Data: []byte(text)}); err != nil {
		t.Fatal(err)
	}
}

// rival changes index.json just before somebody else does.
type rival struct {
	bucket.Bucket
	before func()
}

func (r *rival) Write(ctx context.Context, changes ...bucket.Change) error {
	if before := r.before; before != nil && changes[0].Key == "index.json" {
		r.before = nil
		before()
	}
	return r.Bucket.Write(ctx, changes...)
}

func TestNoNameIsLostToAnotherProgram(t *testing.T) {
	r := &rival{Bucket: mem.New()}
	ours, err := layout.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := layout.Open(t.Context(), r.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	r.before = func() { image(t, theirs, "theirs", nil, "two") }
	image(t, ours, "ours", nil, "one")
	if got := names(t, ours); got != "theirs ours" {
		t.Errorf("names: %s", got)
	}
}

func TestHasTree(t *testing.T) {
	both(t, func(t *testing.T, l *layout.Layout) {
		ctx := t.Context()
		one := image(t, l, "", nil, "layer")
		index := put(t, l, oci.MediaTypeImageIndex, oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{one}}, "x")
		has := func(d oci.Descriptor, want bool) {
			t.Helper()
			if got, err := l.HasTree(ctx, d); err != nil || got != want {
				t.Errorf("has %s: %v, %v", d.Digest, got, err)
			}
		}
		has(index, true)
		has(describe(oci.MediaTypeImageIndex, []byte("none")), false)
		if err := l.Blobs().Delete(ctx, digest.FromBytes([]byte("layer"))); err != nil {
			t.Fatal(err)
		}
		has(index, false)
		missing := describe(oci.MediaTypeDockerForeignLayer, []byte("foreign"))
		m := oci.Manifest{SchemaVersion: 2, Config: putBlob(t, l, "{}"), Layers: []oci.Descriptor{missing}}
		has(put(t, l, oci.MediaTypeImageManifest, m, ""), true)
	})
}

func TestReferrers(t *testing.T) {
	both(t, func(t *testing.T, l *layout.Layout) {
		one := image(t, l, "app", nil, "one")
		signature := image(t, l, "", &one, "signature")
		image(t, l, "other", nil, "other")
		got, err := l.Referrers(t.Context(), one.Digest)
		if err != nil || len(got) != 1 || got[0].Digest != signature.Digest || got[0].Size != signature.Size {
			t.Errorf("referrers: %+v, %v", got, err)
		}
	})
}
