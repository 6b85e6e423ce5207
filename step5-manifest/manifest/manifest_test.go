package manifest_test

import (
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step5-manifest/manifest"
)

// Descriptors to build documents from. Their content is never looked at.
const (
	sumA   = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	sumB   = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	sum512 = "sha512:" + "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc" +
		"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

	config = `{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + sumA + `","size":7}`
	layer  = `{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"` + sumB + `","size":8}`
	child  = `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + sumB + `","size":9}`
	empty  = `{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}`

	typed      = `"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"`
	image      = `{` + typed + `,"config":` + config + `,"layers":[` + layer + `]}`
	typedIndex = `"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"`
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, contentType, raw string
		mediaType              string
		artifactType           string
		children               []string
		subject                string
	}{
		{"image manifest", oci.MediaTypeImageManifest, image,
			oci.MediaTypeImageManifest, oci.MediaTypeImageConfig, []string{sumA, sumB}, ""},
		{"the shape tells the type where nobody says it", "", `{"schemaVersion":2,"config":` + config + `,"layers":[` + layer + `]}`,
			oci.MediaTypeImageManifest, oci.MediaTypeImageConfig, []string{sumA, sumB}, ""},
		{"only the Content-Type says it", oci.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[` + child + `]}`,
			oci.MediaTypeImageIndex, "", []string{sumB}, ""},
		{"the Content-Type has parameters, and capitals", "Application/vnd.OCI.image.manifest.v1+json; charset=utf-8", image,
			oci.MediaTypeImageManifest, oci.MediaTypeImageConfig, []string{sumA, sumB}, ""},
		{"index", oci.MediaTypeImageIndex, `{` + typedIndex + `,"manifests":[` + child + `,` + empty + `]}`,
			oci.MediaTypeImageIndex, "", []string{sumB, oci.EmptyDescriptor.Digest.String()}, ""},
		{"index of an index, with a subject and a type", oci.MediaTypeImageIndex,
			`{` + typedIndex + `,"artifactType":"application/x","subject":` + config + `,"manifests":[` + strings.Replace(child, "manifest.v1", "index.v1", 1) + `]}`,
			oci.MediaTypeImageIndex, "application/x", []string{sumB}, sumA},
		{"index without manifests: a tag may be kept for later", oci.MediaTypeImageIndex, `{` + typedIndex + `,"manifests":[]}`,
			oci.MediaTypeImageIndex, "", nil, ""},
		{"a build cache is an index of blobs", oci.MediaTypeImageIndex, `{` + typedIndex + `,"manifests":[` + layer + `]}`,
			oci.MediaTypeImageIndex, "", []string{sumB}, ""},
		{"artifact: the empty config, a type of its own, a subject", oci.MediaTypeImageManifest,
			`{` + typed + `,"artifactType":"application/vnd.example.sbom","config":` + empty + `,"layers":[` + layer + `],"subject":` + child + `}`,
			oci.MediaTypeImageManifest, "application/vnd.example.sbom", []string{oci.EmptyDescriptor.Digest.String(), sumB}, sumB},
		{"artifact typed by its config", oci.MediaTypeImageManifest,
			`{` + typed + `,"config":` + strings.Replace(config, oci.MediaTypeImageConfig, "application/vnd.cncf.helm.config.v1+json", 1) + `,"layers":[` + layer + `]}`,
			oci.MediaTypeImageManifest, "application/vnd.cncf.helm.config.v1+json", []string{sumA, sumB}, ""},
		{"no layers", oci.MediaTypeImageManifest, `{` + typed + `,"config":` + config + `,"layers":[]}`,
			oci.MediaTypeImageManifest, oci.MediaTypeImageConfig, []string{sumA}, ""},
		{"layers null: as old Go clients write an empty list", oci.MediaTypeImageManifest, `{` + typed + `,"config":` + config + `,"layers":null}`,
			oci.MediaTypeImageManifest, oci.MediaTypeImageConfig, []string{sumA}, ""},
		{"manifests null is no index", "", `{` + typed + `,"config":` + config + `,"layers":[],"manifests":null,"blobs":null,"subject":null}`,
			oci.MediaTypeImageManifest, oci.MediaTypeImageConfig, []string{sumA}, ""},
		{"Docker schema 2", oci.MediaTypeDockerManifest,
			`{"schemaVersion":2,"mediaType":"` + oci.MediaTypeDockerManifest + `","config":` + config + `,"layers":[` + layer + `]}`,
			oci.MediaTypeDockerManifest, oci.MediaTypeImageConfig, []string{sumA, sumB}, ""},
		{"Docker manifest list", oci.MediaTypeDockerManifestList,
			`{"schemaVersion":2,"mediaType":"` + oci.MediaTypeDockerManifestList + `","manifests":[` + child + `]}`,
			oci.MediaTypeDockerManifestList, "", []string{sumB}, ""},
		{"artifact manifest of the 1.1 drafts, which had no schemaVersion", oci.MediaTypeArtifactManifest,
			`{"mediaType":"` + oci.MediaTypeArtifactManifest + `","artifactType":"application/x","blobs":[` + layer + `],"subject":` + child + `}`,
			oci.MediaTypeArtifactManifest, "application/x", []string{sumB}, sumB},
		{"artifact manifest by its shape", "", `{"blobs":[` + layer + `]}`,
			oci.MediaTypeArtifactManifest, "", []string{sumB}, ""},
		{"a type of one's own, over a known shape", "application/vnd.example.thing.v1+json",
			`{"schemaVersion":2,"mediaType":"application/vnd.example.thing.v1+json","config":` + config + `,"layers":[]}`,
			"application/vnd.example.thing.v1+json", oci.MediaTypeImageConfig, []string{sumA}, ""},
		{"layers of any type", oci.MediaTypeImageManifest,
			`{` + typed + `,"config":` + config + `,"layers":[` + strings.Replace(layer, "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.in-toto+json", 1) + `]}`,
			oci.MediaTypeImageManifest, oci.MediaTypeImageConfig, []string{sumA, sumB}, ""},
		{"data that is what it describes", oci.MediaTypeImageManifest,
			`{` + typed + `,"config":` + strings.Replace(empty, `"size":2`, `"size":2,"data":"e30="`, 1) + `,"layers":[]}`,
			oci.MediaTypeImageManifest, oci.MediaTypeEmptyJSON, []string{oci.EmptyDescriptor.Digest.String()}, ""},
		{"unknown fields, on every level", oci.MediaTypeImageManifest,
			`{` + typed + `,"x":{"layers":1,"Layers":2},"config":` + strings.Replace(config, `{`, `{"y":[{}],`, 1) + `,"layers":[]}`,
			oci.MediaTypeImageManifest, oci.MediaTypeImageConfig, []string{sumA}, ""},
		{"annotations are free: keys that differ only in case", oci.MediaTypeImageManifest,
			`{` + typed + `,"config":` + config + `,"layers":[],"annotations":{"a":"1","A":"2","layers":"3","LAYERS":"4"}}`,
			oci.MediaTypeImageManifest, oci.MediaTypeImageConfig, []string{sumA}, ""},
		{"sha512", oci.MediaTypeImageManifest, `{` + typed + `,"config":` + strings.Replace(config, sumA, sum512, 1) + `,"layers":[]}`,
			oci.MediaTypeImageManifest, oci.MediaTypeImageConfig, []string{sum512}, ""},
		{"white space around it", oci.MediaTypeImageManifest, "\r\n\t " + image + " \n",
			oci.MediaTypeImageManifest, oci.MediaTypeImageConfig, []string{sumA, sumB}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := manifest.Parse(tt.contentType, []byte(tt.raw))
			if err != nil {
				t.Fatal(err)
			}
			if m.MediaType != tt.mediaType || m.ArtifactType != tt.artifactType {
				t.Errorf("types %q, %q; want %q, %q", m.MediaType, m.ArtifactType, tt.mediaType, tt.artifactType)
			}
			if got := digests(m); !slices.Equal(got, tt.children) {
				t.Errorf("children %v; want %v", got, tt.children)
			}
			subject := ""
			if m.Subject != nil {
				subject = m.Subject.Digest.String()
			}
			if subject != tt.subject {
				t.Errorf("subject %q; want %q", subject, tt.subject)
			}
			if got := manifest.MediaType([]byte(tt.raw)); got != tt.mediaType {
				t.Errorf("once stored its type is %q; want %q", got, tt.mediaType)
			}
		})
	}
}

func digests(m *manifest.Manifest) (all []string) {
	for d := range m.Children() {
		all = append(all, d.Digest.String())
	}
	return all
}

func TestChildrenStops(t *testing.T) {
	m, err := manifest.Parse("", []byte(image))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for range m.Children() {
		seen++
		break
	}
	if seen != 1 {
		t.Errorf("%d children after a break", seen)
	}
}

func TestReferrer(t *testing.T) {
	raw := []byte(`{` + typed + `,"artifactType":"application/x","annotations":{"k":"v"},"config":` + empty + `,"layers":[],"subject":` + child + `}`)
	m, err := manifest.Parse("", raw)
	if err != nil {
		t.Fatal(err)
	}
	d := digest.FromBytes(raw)
	got := m.Referrer(d, int64(len(raw)))
	if got.MediaType != oci.MediaTypeImageManifest || got.Digest != d || got.Size != int64(len(raw)) ||
		got.ArtifactType != "application/x" || got.Annotations["k"] != "v" || got.Data != nil {
		t.Errorf("%+v", got)
	}
}

// What another registry has stored need not be what this one would take.
func TestMediaTypeOfForeign(t *testing.T) {
	for _, tt := range []struct{ name, raw, want string }{
		{"a type that a browser would run", `{"mediaType":"text/html","config":{}}`, oci.MediaTypeImageManifest},
		{"schema 1 keeps its name", `{"schemaVersion":1,"mediaType":"` + oci.MediaTypeDockerSchema1Signed + `"}`, oci.MediaTypeDockerSchema1Signed},
		{"not JSON", `{"manifests"`, oci.MediaTypeImageManifest},
		{"nothing", ``, oci.MediaTypeImageManifest},
	} {
		if got := manifest.MediaType([]byte(tt.raw)); got != tt.want {
			t.Errorf("%s: %q; want %q", tt.name, got, tt.want)
		}
	}
}
