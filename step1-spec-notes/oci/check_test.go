package oci_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/oci"
)

const (
	emptyDigest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	config      = `{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + emptyDigest + `","size":2}`
	layer       = `{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"` + emptyDigest + `","size":2}`
	manifest    = `"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"`
	index       = `"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"`
	image       = `"architecture":"amd64","os":"linux"`
	rootfs      = `"rootfs":{"type":"layers","diff_ids":["` + emptyDigest + `"]}`
)

func TestCheckAccepts(t *testing.T) {
	tests := []struct {
		name, text string
		kind       *oci.Object
		reason     string
	}{
		{"manifest", `{` + manifest + `,"config":` + config + `,"layers":[` + layer + `]}`, oci.ManifestObject, ""},
		{"Docker manifest", `{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":` + config + `,"layers":[` + layer + `]}`, oci.ManifestObject, "the same fields"},
		{"artifact", `{` + manifest + `,"artifactType":"a/b","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + emptyDigest + `","size":2,"data":"e30="},"layers":[` + layer + `]}`, oci.ManifestObject, ""},
		{"unknown types", `{` + manifest + `,"config":` + strings.Replace(config, "oci.image.config.v1+json", "x", 1) + `,"layers":[` + strings.Replace(layer, "oci.image", "x", 1) + `]}`, oci.ManifestObject, "MUST NOT error on an unknown type"},
		{"unknown keys", `{` + manifest + `,"x":{"digest":1},"config":` + config + `,"layers":[` + layer + `]}`, oci.ManifestObject, "extensions are allowed"},
		{"annotations in two cases", `{` + manifest + `,"annotations":{"a":"1","A":"2","mediatype":"3"},"config":` + config + `,"layers":[` + layer + `]}`, oci.ManifestObject, "their keys are the author's"},
		{"null", `{` + manifest + `,"subject":null,"config":` + config + `,"layers":[` + layer + `]}`, oci.ManifestObject, "absent"},
		{"index", `{` + index + `,"manifests":[` + layer + `]}`, oci.IndexObject, "a child may be a layer: build caches"},
		{"index of nothing", `{` + index + `,"manifests":[]}`, oci.IndexObject, "MAY be zero"},
		{"config", `{` + image + `,` + rootfs + `}`, oci.ConfigObject, ""},
		{"config with history", `{` + image + `,` + rootfs + `,"history":[{"created":"2015-10-31T22:22:54.69Z"},{"empty_layer":true}]}`, oci.ConfigObject, "a step without a layer does not count"},
		{"Docker's extras", `{` + image + `,` + rootfs + `,"config":{"Hostname":"","Healthcheck":{}},"docker_version":"20"}`, oci.ConfigObject, "MUST NOT generate an error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kind, faults := oci.Check([]byte(tt.text))
			if kind != tt.kind || len(faults) != 0 {
				t.Errorf("Check = %v, %v (%s)", kind, faults, tt.reason)
			}
		})
	}
}

func TestCheckFinds(t *testing.T) {
	with := func(old, new string) string {
		text := `{` + manifest + `,"config":` + config + `,"layers":[` + layer + `]}`
		return strings.Replace(text, old, new, 1)
	}
	image := func(rest string) string { return `{` + image + `,` + rest + `}` }
	tests := []struct {
		name, text string
		want       string
		must       bool
	}{
		{"empty", ``, "not JSON: it ends too early at byte 0", true},
		{"cut", `{"a":`, "not JSON: it ends too early at byte 5", true},
		{"not an object", `[]`, "not a JSON object", true},
		{"null", `null`, "not a JSON object", true},
		{"nothing known", `{"a":1}`, "none of image manifest, image index and image config: no manifests, layers or rootfs", true},
		{"bad UTF-8", "{\"a\":\"\xff\"}", "not valid UTF-8", true},
		{"trailing document", `{"layers":[]}{}`, "something follows the document, which ends at byte 13", true},
		{"depth", strings.Repeat(`[`, 33), "nested deeper than 32 levels", true},
		{"schema 1", `{"schemaVersion":1}`, "schemaVersion: Docker's schema 1, whose layers have neither type nor size; push the image again with a newer client", true},
		{"schema version", with(`:2`, `:3`), "schemaVersion: want the number 2", true},
		{"schema version as text", with(`:2`, `:"2"`), "schemaVersion: want the number 2", true},

		{"duplicate key", with(`"layers"`, `"layers":[],"layers"`), "layers: the key stands there twice; readers disagree which one counts", true},
		{"duplicate key below", with(`"size":2`, `"size":2,"size":3`), "config.size: the key stands there twice; readers disagree which one counts", true},
		{"duplicate escaped", with(`"layers"`, `"l\u0061yers":[],"layers"`), "layers: the key stands there twice; readers disagree which one counts", true},
		{"case variant", with(`"layers"`, `"Layers":[],"layers"`), "Layers: a known key in other letters; some readers take it for that one, others do not", true},
		{"case variant alone", with(`,"mediaType"`, `,"mediatype"`), "mediatype: a known key in other letters; some readers take it for that one, others do not", true},
		{"case variant beyond ASCII", with(`"layers"`, `"layerſ":[],"layers"`), "layerſ: a known key in other letters; some readers take it for that one, others do not", true},

		{"the other kind's key in other letters", with(`"layers"`, `"Manifests":[],"layers"`), "Manifests: a known key in other letters; some readers take it for that one, others do not", true},
		{"a draft's key in other letters", with(`"layers"`, `"BLOBS":[],"layers"`), "BLOBS: a known key in other letters; some readers take it for that one, others do not", true},
		{"artifact manifest", `{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","blobs":[]}`, "mediaType: an artifact manifest, which a draft had and the specification has not; image manifests hold artifacts now", true},

		{"both shapes", with(`"layers"`, `"manifests":[],"layers"`), "both manifests and layers or config: one reader takes it for an index, another for an image", true},
		{"index with a config", `{` + index + `,"manifests":[],"config":` + config + `}`, "both manifests and layers or config: one reader takes it for an index, another for an image", true},
		{"media type of an index", with("image.manifest", "image.index"), "mediaType: says application/vnd.oci.image.index.v1+json, but the fields are those of an image manifest", true},
		{"media type of a manifest", `{` + manifest + `,"manifests":[]}`, "mediaType: says application/vnd.oci.image.manifest.v1+json, but the fields are those of an image index", true},
		{"foreign media type", with("application/vnd.oci.image.manifest.v1+json", "text/html"), "mediaType: says text/html, which is not the type of an image manifest", true},
		{"no media type", with(`,"mediaType":"application/vnd.oci.image.manifest.v1+json"`, ``), "mediaType: missing; it SHOULD be there", false},

		{"no config", `{` + manifest + `,"layers":[` + layer + `]}`, "config: missing, and REQUIRED", true},
		{"config that is a list", `{` + manifest + `,"config":[],"layers":[` + layer + `]}`, "config: want an object", true},
		{"no layers", `{` + manifest + `,"config":` + config + `}`, "layers: missing; it SHOULD be there", false},
		{"empty layers", `{` + manifest + `,"config":` + config + `,"layers":[]}`, "layers: empty; some registries want at least one, which may be the empty descriptor", false},
		{"layers that is an object", `{` + manifest + `,"config":` + config + `,"layers":{}}`, "layers: want a list", true},
		{"null layer", `{` + manifest + `,"config":` + config + `,"layers":[null]}`, "layers[0]: want an object", true},
		{"no manifests", `{` + index + `}`, "manifests: missing, and REQUIRED", true},
		{"empty config without a type", with("image.config", "empty"), "artifactType: missing, and REQUIRED where the config is the empty one", true},
		{"artifact type", with(`"config"`, `"artifactType":"x","config"`), "artifactType: not a media type (RFC 6838, section 4.2)", true},
		{"annotation", with(`"config"`, `"annotations":{"a":1},"config"`), "annotations: has a value that is not a string", true},
		{"annotation without a key", with(`"config"`, `"annotations":{"":"x"},"config"`), "annotations: has an empty key", true},

		{"negative size", with(`"size":2`, `"size":-1`), "config.size: negative", true},
		{"fraction", with(`"size":2`, `"size":1.5`), "config.size: not a whole number of 64 bits", true},
		{"huge size", with(`"size":2`, `"size":1e99`), "config.size: not a whole number of 64 bits", true},
		{"size as text", with(`"size":2`, `"size":"2"`), "config.size: want a number", true},
		{"no size", with(`,"size":2`, ``), "config.size: missing, and REQUIRED", true},
		{"short digest", with(emptyDigest, "sha256:aa"), "config.digest: invalid digest: sha256 wants 64 hex digits, not 2", true},
		{"unknown algorithm", with(emptyDigest, "blake3:aa"), "config.digest: well formed, but of an algorithm that is not sha256 or sha512, so nobody can verify it here", true},
		{"no media type of a layer", with(`{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip",`, `{`), "layers[0].mediaType: missing, and REQUIRED", true},
		{"embedded data of another size", with(`"size":2`, `"size":2,"data":"e30K"`), "config.data: holds 3 bytes, which is not the size", true},
		{"embedded data of another digest", with(`"size":2`, `"size":2,"data":"W10="`), "config.data: is not what the digest names", true},
		{"embedded data", with(`"size":2`, `"size":2,"data":"%"`), "config.data: not base64", true},
		{"platform", `{` + index + `,"manifests":[` + strings.Replace(layer, `{`, `{"platform":{"os":"linux"},`, 1) + `]}`, "manifests[0].platform.architecture: missing, and REQUIRED", true},

		{"no rootfs", `{"architecture":"a","os":"b"}`, "rootfs: missing, and REQUIRED", true},
		{"no architecture", `{"os":"b",` + rootfs + `}`, "architecture: missing, and REQUIRED", true},
		{"type of rootfs", image(strings.Replace(rootfs, `"layers"`, `"x"`, 1)), `rootfs.type: want "layers"; there is no other`, true},
		{"diff_id", image(strings.Replace(rootfs, emptyDigest, "x", 1)), "rootfs.diff_ids[0]: invalid digest: no colon", true},
		{"too little history", image(rootfs + `,"history":[{"empty_layer":true}]`), "history: tells of 0 layers, but rootfs.diff_ids has 1", true},
		{"too much history", image(rootfs + `,"history":[{},{}]`), "history: tells of 2 layers, but rootfs.diff_ids has 1", true},
		{"time", image(rootfs + `,"created":"yesterday"`), "created: not a time of RFC 3339, such as 2026-01-31T12:00:00Z", true},
		{"environment", image(rootfs + `,"config":{"Env":"A=1"}`), "config.Env: want a list", true},
		{"environment of numbers", image(rootfs + `,"config":{"Env":[1]}`), "config.Env[0]: want a string", true},
		{"ports", image(rootfs + `,"config":{"ExposedPorts":{"80":true}}`), "config.ExposedPorts: has a value that is not {}", true},
		{"ports as a list", image(rootfs + `,"config":{"ExposedPorts":["80"]}`), "config.ExposedPorts: want an object", true},
		{"empty layer", image(rootfs + `,"history":[{"empty_layer":"no"}]`), "history[0].empty_layer: want true or false", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, faults := oci.Check([]byte(tt.text))
			for _, f := range faults {
				if f.String() == tt.want && f.Must == tt.must {
					return
				}
			}
			t.Errorf("Check found %q\nwant %q", faults, tt.want)
		})
	}
}

// What one document can make the checker say is bounded.
func TestCheckIsBounded(t *testing.T) {
	tests := map[string]string{
		"many bad layers":     `{` + manifest + `,"layers":[` + strings.Repeat(`{},`, 100_000) + `{}]}`,
		"many duplicate keys": `{` + strings.Repeat(`"a":1,`, 100_000) + `"layers":[]}`,
		"long keys":           `{"` + strings.Repeat("k", 1<<20) + `":{` + strings.Repeat(`"a":1,`, 1000) + `"b":1},"layers":[]}`,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			_, faults := oci.Check([]byte(text))
			if len(faults) == 0 || len(faults) > 50 {
				t.Errorf("%d faults", len(faults))
			}
			if n := len(fmt.Sprint(faults)); n > 50*300 {
				t.Errorf("%d bytes of faults", n)
			}
		})
	}
}

// A document without a broken rule can be decoded into its type, and what is
// encoded again breaks none.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		`{` + manifest + `,"config":` + config + `,"layers":[` + layer + `]}`, `{` + index + `,"manifests":[` + layer + `]}`,
		`{` + image + `,` + rootfs + `,"history":[{"created":"2015-10-31T22:22:54Z"}],"config":{"Env":["A=1"],"Volumes":{"/v":{}}}}`,
		`{"layers":[],"Layers":[]}`, `{"schemaVersion":2,"config":null,"layers":null}`, `[[[[`, `{"a":{"a":1,"a":2}}`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		kind, faults := oci.Check(raw)
		for _, fault := range faults {
			if fault.Must {
				return
			}
		}
		if kind != oci.ConfigObject && oci.Strict(raw) != nil {
			t.Fatalf("no fault in %q, but Strict has one", raw)
		}
		doc := map[*oci.Object]any{oci.ManifestObject: new(oci.Manifest), oci.IndexObject: new(oci.Index), oci.ConfigObject: new(oci.ImageConfig)}[kind]
		if err := json.Unmarshal(raw, doc); err != nil {
			t.Fatalf("no fault in %q, but %v", raw, err)
		}
		again, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		kindAgain, faults := oci.Check(again)
		for _, fault := range faults {
			if fault.Must {
				t.Fatalf("%q became %q: %v", raw, again, fault)
			}
		}
		if kindAgain != kind {
			t.Fatalf("%q became %q: another kind", raw, again)
		}
	})
}
