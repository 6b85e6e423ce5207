package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/layout"
)

// filled is the folder of a store with images of those names, each another one.
func filled(t *testing.T, names ...string) (folder string, digests map[string]digest.Digest) {
	t.Helper()
	folder, digests = filepath.Join(t.TempDir(), "images"), map[string]digest.Digest{}
	s, err := Create(t.Context(), folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, name := range names {
		raw := []byte(`{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageIndex + `","manifests":[],"annotations":{"name":"` + name + `"}}`)
		d := oci.Descriptor{MediaType: oci.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
		if err := s.PutManifest(t.Context(), d, raw, name); err != nil {
			t.Fatal(err)
		}
		digests[name] = d.Digest
	}
	return folder, digests
}

func TestFind(t *testing.T) {
	const app, alpine, odd, l = "localhost:5000/app:v1", "docker.io/library/alpine:latest", "odd", "layer/base"
	folder, d := filled(t, app, alpine, odd, l)
	s, err := Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, tt := range []struct {
		name, typed, want string
		err               error
	}{
		{"in full", app, app, nil},
		{"completed", "alpine", alpine, nil},
		{"with its scheme", "docker://alpine", alpine, nil},
		{"another's name", "odd", odd, nil},
		{"by digest", d[app].String(), app, nil},
		{"by the beginning of a digest", d[app].String()[:19], app, nil},
		{"by the beginning of its digits", d[app].Hex()[:12], app, nil},
		{"too short", d[app].Hex()[:3], "", layout.ErrUnknown},
		{"name and digest", "alpine@" + d[alpine].String(), "docker.io/library/alpine@" + d[alpine].String(), nil},
		{"another digest", "alpine@" + digest.FromBytes(nil).String(), "", layout.ErrUnknown},
		{"another tag", "alpine:3", "", layout.ErrUnknown},
		{"a layer", l, "", layout.ErrUnknown},
		{"a layer's digits", d[l].Hex()[:12], "", layout.ErrUnknown},
		{"nothing", "", "", layout.ErrUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i, err := s.Find(t.Context(), tt.typed)
			if i.Name != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%q is %q, %v", tt.typed, i.Name, err)
			}
		})
	}
}

func TestAmbiguous(t *testing.T) {
	images := []Image{
		{"a/b:c", oci.Descriptor{Digest: digest.MustParse("sha256:" + strings.Repeat("ab", 32))}},
		{"a/b:d", oci.Descriptor{Digest: digest.MustParse("sha256:" + strings.Repeat("ab", 31) + "00")}},
	}
	if _, err := byPrefix(images, "abab"); !errors.Is(err, layout.ErrAmbiguous) {
		t.Error(err)
	}
	images[1].Descriptor = images[0].Descriptor
	if i, err := byPrefix(images, "abab"); err != nil || i.Name != "a/b:c" {
		t.Errorf("%v, %v", i, err)
	}
}

func TestOpen(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(folder string) error
		want error
	}{
		{"nothing there", func(string) error { return nil }, nil},
		{"an empty folder", func(f string) error { return os.Mkdir(f, 0o755) }, nil},
		{"one that is just begun", func(f string) error { return os.MkdirAll(f+"/uploads", 0o755) }, nil},
		{"something else", func(f string) error { return os.MkdirAll(f+"/bin", 0o755) }, layout.ErrNotLayout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "images")
			if err := tt.make(folder); err != nil {
				t.Fatal(err)
			}
			s, err := Open(t.Context(), folder)
			if !errors.Is(err, tt.want) {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			defer s.Close()
			if all, err := s.Images(t.Context()); len(all) > 0 || err != nil {
				t.Errorf("%v, %v", all, err)
			}
		})
	}
}
