package oci_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
)

func TestEmptyDescriptor(t *testing.T) {
	got, err := json.Marshal(oci.EmptyDescriptor)
	const want = `{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"data":"e30="}`
	if string(got) != want || err != nil {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

func TestMarshal(t *testing.T) {
	d := digest.FromBytes(nil)
	tests := []struct {
		name   string
		value  any
		want   string
		reason string
	}{
		{"descriptor", oci.Descriptor{MediaType: "a/b", Digest: d, Size: 0}, `{"mediaType":"a/b","digest":"` + d.String() + `","size":0}`, "a size of 0 is a size"},
		{"descriptor without a digest", oci.Descriptor{}, `{"mediaType":"","size":0}`, `"" is no digest and could not be read back`},
		{"index of nothing", oci.Index{SchemaVersion: 2}, `{"schemaVersion":2,"manifests":[]}`, "a list, never null: the answer of referrers"},
		{"manifest without layers", &oci.Manifest{SchemaVersion: 2}, `{"schemaVersion":2,"config":{"mediaType":"","size":0},"layers":[]}`, "a list, never null, also by pointer"},
		{"config", oci.ImageConfig{Platform: oci.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}, RootFS: oci.RootFS{Type: "layers"}},
			`{"architecture":"arm","os":"linux","variant":"v7","rootfs":{"type":"layers","diff_ids":[]}}`, "platform inline, no config, no zero time"},
		{"config with parameters", oci.ImageConfig{Created: time.Unix(0, 0).UTC(), Config: oci.ContainerConfig{ExposedPorts: map[string]struct{}{"80/tcp": {}}}, RootFS: oci.RootFS{DiffIDs: []digest.Digest{d}}},
			`{"created":"1970-01-01T00:00:00Z","architecture":"","os":"","config":{"ExposedPorts":{"80/tcp":{}}},"rootfs":{"type":"","diff_ids":["` + d.String() + `"]}}`, "a set is an object of empty objects"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := json.Marshal(tt.value); string(got) != tt.want || err != nil {
				t.Errorf("got  %s, %v\nwant %s (%s)", got, err, tt.want, tt.reason)
			}
		})
	}
}

// Whoever reads a document whose digests are foreign can tell that from rubbish.
func TestUnmarshalKeepsTheErrorsOfDigests(t *testing.T) {
	var m oci.Manifest
	if err := json.Unmarshal([]byte(`{"config":{"digest":"blake3:00"}}`), &m); !errors.Is(err, digest.ErrUnsupported) {
		t.Errorf("unknown algorithm: %v", err)
	}
	if err := json.Unmarshal([]byte(`{"layers":[{"digest":"sha256:00"}]}`), &m); !errors.Is(err, digest.ErrInvalid) {
		t.Errorf("short: %v", err)
	}
}

func TestParsePlatform(t *testing.T) {
	tests := []struct {
		name, text string
		want       oci.Platform
		valid      bool
	}{
		{"two parts", "linux/amd64", oci.Platform{OS: "linux", Architecture: "amd64"}, true},
		{"three parts", "linux/arm/v7", oci.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}, true},
		{"one part", "linux", oci.Platform{}, false},
		{"four parts", "a/b/c/d", oci.Platform{}, false},
		{"empty part", "linux//v7", oci.Platform{}, false},
		{"empty", "", oci.Platform{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := oci.ParsePlatform(tt.text)
			if (err == nil) != tt.valid || p.String() != tt.want.String() {
				t.Fatalf("ParsePlatform = %v, %v", p, err)
			}
			if tt.valid && p.String() != tt.text {
				t.Errorf("String = %s", p)
			}
		})
	}
}

func TestMediaTypes(t *testing.T) {
	type kind string
	const manifest, index, config, layer, away, schema1, other kind = "manifest", "index", "config", "layer", "nondistributable", "schema 1", "other"
	tests := map[string]kind{
		oci.MediaTypeImageManifest: manifest, oci.MediaTypeDockerManifest: manifest,
		oci.MediaTypeImageIndex: index, oci.MediaTypeDockerManifestList: index,
		oci.MediaTypeImageConfig: config, oci.MediaTypeDockerConfig: config,
		oci.MediaTypeImageLayer: layer, oci.MediaTypeImageLayerGzip: layer, oci.MediaTypeImageLayerZstd: layer,
		oci.MediaTypeDockerLayer: layer, oci.MediaTypeDockerLayerGzip: layer, oci.MediaTypeDockerLayerZstd: layer,
		oci.MediaTypeImageLayerNonDistributable: away, oci.MediaTypeImageLayerNonDistributableGzip: away, oci.MediaTypeImageLayerNonDistributableZstd: away,
		oci.MediaTypeDockerForeignLayer: away, oci.MediaTypeDockerForeignLayerGzip: away,
		oci.MediaTypeDockerSchema1: schema1, oci.MediaTypeDockerSchema1Signed: schema1,
		oci.MediaTypeEmptyJSON: other, oci.MediaTypeArtifactManifest: other, oci.MediaTypeDescriptor: other,
		oci.MediaTypeLayoutHeader: other, oci.MediaTypeDockerPluginConfig: other,
		"": other, "application/json": other, oci.MediaTypeImageIndex + "; charset=utf-8": other,
	}
	for mediaType, want := range tests {
		t.Run(mediaType, func(t *testing.T) {
			got := other
			for k, is := range map[kind]bool{
				manifest: oci.IsManifest(mediaType), index: oci.IsIndex(mediaType), config: oci.IsImageConfig(mediaType),
				layer: oci.IsLayer(mediaType) && !oci.IsNonDistributable(mediaType), away: oci.IsNonDistributable(mediaType), schema1: oci.IsSchema1(mediaType),
			} {
				if is && got != other {
					t.Errorf("both %s and %s", got, k)
				} else if is {
					got = k
				}
			}
			if got != want {
				t.Errorf("is %s, want %s", got, want)
			}
			if want == away && !oci.IsLayer(mediaType) {
				t.Error("one that may stay away is a layer still")
			}
			if want != other && !oci.IsMediaType(mediaType) {
				t.Error("no media type")
			}
		})
	}
}
