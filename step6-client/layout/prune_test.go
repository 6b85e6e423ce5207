package layout_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step6-client/layout"
)

var later = time.Now().Add(time.Hour)

func TestPrune(t *testing.T) {
	both(t, func(t *testing.T, l *layout.Layout) {
		ctx := t.Context()
		kept := image(t, l, "kept", nil, "shared", "own")
		image(t, l, "gone", nil, "shared", "lost")
		child := image(t, l, "", nil, "child")
		index := put(t, l, oci.MediaTypeImageIndex, oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{child}}, "index")
		signature := image(t, l, "", &child, "signature")
		image(t, l, "", &signature, "signature of the signature")
		gone, err := l.Resolve(ctx, "gone")
		if err != nil {
			t.Fatal(err)
		}
		image(t, l, "", &gone, "signature of what is gone")
		stray := putBlob(t, l, "stray")
		if err := l.Remove(ctx, "gone"); err != nil {
			t.Fatal(err)
		}
		if p, err := l.Prune(ctx, time.Time{}); err != nil || p.Blobs != 0 {
			t.Fatalf("what is new was pruned: %+v, %v", p, err)
		}
		p, err := l.Prune(ctx, later)
		if err != nil || p.Blobs != 5 {
			t.Fatalf("%+v, %v", p, err)
		}
		for _, text := range []string{"shared", "own", "child", "signature", "signature of the signature", "{}"} {
			readAll(t, l, describe("text/plain", []byte(text)))
		}
		for _, d := range []oci.Descriptor{stray, gone, describe("text/plain", []byte("lost")), describe("text/plain", []byte("signature of what is gone"))} {
			if _, err := l.OpenBlob(ctx, d); !errors.Is(err, layout.ErrUnknown) {
				t.Errorf("%s is there: %v", d.Digest, err)
			}
		}
		for _, d := range []oci.Descriptor{kept, index} {
			if has, err := l.HasTree(ctx, d); err != nil || !has {
				t.Errorf("%s is not whole: %v", d.Digest, err)
			}
		}
		if p, err := l.Prune(ctx, later); err != nil || p.Blobs != 0 {
			t.Errorf("again: %+v, %v", p, err)
		}
	})
}

// Where nobody knows what is needed, nothing goes.
func TestPruneStops(t *testing.T) {
	root := t.TempDir()
	f := create(t, root)
	d := image(t, f.Layout, "x", nil, "layer")
	if err := os.WriteFile(filepath.Join(root, "blobs/sha256", d.Digest.Hex()), make([]byte, d.Size), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := f.Prune(t.Context(), later); !errors.Is(err, digest.ErrMismatch) || p.Blobs > 0 {
		t.Errorf("pruned %+v, %v", p, err)
	}
	b := mem.New()
	l, err := layout.Create(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	putBlob(t, l, "stray")
	write(t, b, "index.json", `{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"blake3:00","size":1}]}`)
	if p, err := l.Prune(t.Context(), later); !errors.Is(err, layout.ErrInvalid) || p.Blobs > 0 {
		t.Errorf("pruned %+v, %v", p, err)
	}
}

// An index may list a manifest under a type that nobody knows; what that leads to is
// kept all the same, as is what one document calls a layer and another a manifest.
func TestPruneMissesNothing(t *testing.T) {
	l, err := layout.Create(t.Context(), mem.New())
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	child := image(t, l, "", nil, "layer")
	asLayer := child
	asLayer.MediaType = "application/octet-stream"
	config := putBlob(t, l, "{}")
	put(t, l, oci.MediaTypeImageManifest, oci.Manifest{SchemaVersion: 2, Config: config, Layers: []oci.Descriptor{asLayer}}, "first")
	index := put(t, l, oci.MediaTypeImageIndex, oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{child}}, "second")
	hidden := image(t, l, "", nil, "hidden layer")
	hidden.MediaType = "application/vnd.example.image+json"
	put(t, l, oci.MediaTypeImageIndex, oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{hidden}}, "third")
	if _, err := l.Prune(ctx, later); err != nil {
		t.Fatal(err)
	}
	if has, err := l.HasTree(ctx, index); err != nil || !has {
		t.Errorf("second is not whole: %v", err)
	}
	readAll(t, l, describe("text/plain", []byte("hidden layer")))
}
