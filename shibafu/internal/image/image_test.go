package image

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step6-client/layout"
)

func layerOf(name string, created time.Time) Layer {
	return Layer{
		Name: name, DiffID: digest.FromBytes([]byte(name + " tar")), Created: created,
		Descriptor: oci.Descriptor{MediaType: oci.MediaTypeImageLayerGzip, Digest: digest.FromBytes([]byte(name)), Size: 7},
	}
}

// What a recipe makes is the same in all versions of this program, or images that were
// made again would be others.
func TestRecipe(t *testing.T) {
	at := time.Unix(1_600_000_000, 0).UTC()
	layers := []Layer{layerOf("base", at), layerOf("app", time.Time{})}
	platform := oci.Platform{OS: "linux", Architecture: "amd64"}
	for _, tt := range []struct {
		name   string
		recipe Recipe
		want   string // the digest of the manifest
		when   time.Time
	}{
		{"nothing", Recipe{Platform: platform}, "sha256:09ade42fe3e6", time.Time{}},
		{"layers", Recipe{Layers: layers, Platform: platform}, "sha256:97b525331e1c", at},
		{"told when", Recipe{Layers: layers, Platform: platform, Created: time.Unix(5, 0).UTC()}, "sha256:1262689cf117", time.Unix(5, 0).UTC()},
		{"a config", Recipe{Layers: layers, Platform: platform, Config: oci.ContainerConfig{Cmd: []string{"sh"}, Labels: map[string]string{"b": "1", "a": "2"}}}, "sha256:3e25f1dd5309", at},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config, m, err := tt.recipe.Documents()
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Descriptor.Digest.String()[:19]; got != tt.want {
				t.Errorf("manifest is %s: %s", got, m.Raw)
			}
			var c oci.ImageConfig
			if err := json.Unmarshal(config.Raw, &c); err != nil || !c.Created.Equal(tt.when) {
				t.Errorf("created %s, %v", c.Created, err)
			}
			for _, doc := range []Document{config, m} {
				if _, faults := oci.Check(doc.Raw); len(faults) > 0 && tt.name != "nothing" {
					t.Errorf("%s: %v", doc.Raw, faults)
				}
			}
		})
	}
}

func TestRead(t *testing.T) {
	l, err := layout.Create(t.Context(), mem.New())
	if err != nil {
		t.Fatal(err)
	}
	put := func(mediaType string, raw []byte) oci.Descriptor {
		t.Helper()
		d := oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
		if err := l.Blobs().PutBytes(t.Context(), d.Digest, raw); err != nil {
			t.Fatal(err)
		}
		return d
	}
	made := func(config oci.Descriptor, layers ...oci.Descriptor) oci.Descriptor {
		t.Helper()
		raw, err := json.Marshal(oci.Manifest{SchemaVersion: 2, MediaType: oci.MediaTypeImageManifest, Config: config, Layers: layers})
		if err != nil {
			t.Fatal(err)
		}
		return put(oci.MediaTypeImageManifest, raw)
	}
	const config = oci.MediaTypeImageConfig
	whole := put(config, []byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["`+digest.FromBytes(nil).String()+`"]}}`))
	layer := layerOf("x", time.Time{}).Descriptor
	large := whole
	large.Size = maxConfig + 1
	for _, tt := range []struct {
		name string
		d    oci.Descriptor
		want error
	}{
		{"an image", made(whole, layer), nil},
		{"an index", oci.Descriptor{MediaType: oci.MediaTypeImageIndex, Digest: whole.Digest}, ErrNoImage},
		{"an artifact", made(put("a/b", []byte("{}")), layer), ErrNoImage},
		{"a layer too many", made(whole, layer, layer), manifest.ErrInvalid},
		{"no config", made(put(config, []byte("[]"))), manifest.ErrInvalid},
		{"a config too large", made(large, layer), manifest.ErrInvalid},
		{"no manifest", put(oci.MediaTypeImageManifest, []byte("{}")), manifest.ErrInvalid},
		{"what is not there", oci.Descriptor{MediaType: oci.MediaTypeImageManifest, Digest: digest.FromBytes([]byte("none")), Size: 4}, layout.ErrUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i, err := Read(t.Context(), l, tt.d)
			if !errors.Is(err, tt.want) {
				t.Fatal(err)
			}
			if err == nil && i.Size() != tt.d.Size+whole.Size+layer.Size {
				t.Errorf("%d bytes", i.Size())
			}
		})
	}
}
