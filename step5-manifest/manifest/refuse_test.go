package manifest_test

import (
	"errors"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step5-manifest/manifest"
)

// withLayer is an image whose first layer is what is under test.
func withLayer(layer string) string {
	return `{` + typed + `,"config":` + config + `,"layers":[` + layer + `]}`
}

// change is a layer with something in it replaced.
func change(old, new string) string { return withLayer(strings.Replace(layer, old, new, 1)) }

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ name, contentType, raw, reason string }{
		{"not JSON", "", `hello`, "not JSON: a character is out of place at byte 0"},
		{"empty", "", ``, "not JSON: it ends too early at byte 0"},
		{"cut off", "", image[:len(image)-1], "not JSON: it ends too early"},
		{"a list", "", `[]`, "not a JSON object"},
		{"a string", "", `"manifest"`, "not a JSON object"},
		{"null: is nothing, though encoding/json takes it for an empty document", "", `null`, "not a JSON object"},
		{"an object without anything", "", `{}`, "schemaVersion: want 2"},
		{"schema 1", "", `{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[],"history":[]}`,
			"schemaVersion: Docker's schema 1 is not served; push the image again with a client of this decade"},
		{"schema 1 by Content-Type", oci.MediaTypeDockerSchema1Signed, image, "schemaVersion: Docker's schema 1 is not served"},
		{"schema 1 by media type", "", `{"mediaType":"` + oci.MediaTypeDockerSchema1 + `"}`, "schemaVersion: Docker's schema 1 is not served"},
		{"schemaVersion missing", "", `{"config":` + config + `,"layers":[]}`, "schemaVersion: want 2"},
		{"schemaVersion 3", "", `{"schemaVersion":3,"config":` + config + `,"layers":[]}`, "schemaVersion: want 2"},
		{"schemaVersion as text", "", `{"schemaVersion":"2","config":` + config + `,"layers":[]}`, "schemaVersion: not of the right type"},

		{"layers twice: the later wins for some", "", `{` + typed + `,"config":` + config + `,"layers":[],"layers":[` + layer + `]}`,
			"layers: the key stands there twice"},
		{"layers twice, once escaped", "", `{` + typed + `,"config":` + config + `,"layers":[],"\u006cayers":[` + layer + `]}`,
			"layers: the key stands there twice"},
		{"a key twice that nobody knows", "", `{` + typed + `,"config":` + config + `,"layers":[],"x":1,"x":1}`, "x: the key stands there twice"},
		{"a digest twice in a layer", "", withLayer(strings.Replace(layer, `{`, `{"digest":"`+sumA+`",`, 1)), "layers[0].digest: the key stands there twice"},
		{"an annotation twice", "", `{` + typed + `,"config":` + config + `,"annotations":{"a":"1","a":"2"}}`, "annotations.a: the key stands there twice"},
		{"LAYERS beside layers: encoding/json takes either", "", `{` + typed + `,"config":` + config + `,"layers":[],"LAYERS":[` + layer + `]}`,
			"LAYERS: a known key in other letters"},
		{"MediaType beside mediaType", "", `{` + typed + `,"MediaType":"x","config":` + config + `,"layers":[]}`, "MediaType: a known key in other letters"},
		{"Layers without layers", "", `{` + typed + `,"config":` + config + `,"Layers":[` + layer + `]}`, "Layers: a known key in other letters"},
		{"a long s, which folds to s", "", `{` + typed + `,"config":` + config + `,"layerſ":[` + layer + `]}`, "layerſ: a known key in other letters"},
		{"Digest in a layer", "", change(`"digest"`, `"Digest"`), "layers[0].Digest: a known key in other letters"},

		{"layers and manifests", "", `{` + typed + `,"config":` + config + `,"layers":[],"manifests":[]}`, "more than one of manifests, blobs, and config and layers"},
		{"config and manifests", "", `{` + typedIndex + `,"config":` + config + `,"manifests":[]}`, "more than one of manifests, blobs, and config and layers"},
		{"blobs and manifests", "", `{` + typedIndex + `,"blobs":[],"manifests":[]}`, "more than one of manifests, blobs, and config and layers"},
		{"blobs and layers", "", `{` + typed + `,"config":` + config + `,"layers":[],"blobs":[]}`, "more than one of manifests, blobs, and config and layers"},
		{"layers without a config", "", `{` + typed + `,"layers":[` + layer + `]}`, "neither manifests nor config and layers"},
		{"config null", "", `{` + typed + `,"config":null,"layers":[]}`, "neither manifests nor config and layers"},
		{"neither", "", `{` + typed + `}`, "neither manifests nor config and layers"},

		{"media type is not the Content-Type", oci.MediaTypeDockerManifest, image, "mediaType: differs from the Content-Type"},
		{"an index that says it is a manifest", "", `{` + typed + `,"manifests":[]}`, "mediaType: the fields are not those of this type"},
		{"a manifest that says it is an index", "", `{` + typedIndex + `,"config":` + config + `,"layers":[]}`, "mediaType: the fields are not those of this type"},
		{"the same in capitals", "", `{"schemaVersion":2,"mediaType":"application/vnd.OCI.image.index.v1+json","config":` + config + `,"layers":[]}`,
			"mediaType: the fields are not those of this type"},
		{"a manifest that says it is an artifact manifest", "", `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeArtifactManifest + `","config":` + config + `}`,
			"mediaType: the fields are not those of this type"},
		{"a manifest without its type, pushed as an index", oci.MediaTypeImageIndex, `{"schemaVersion":2,"config":` + config + `,"layers":[]}`,
			"mediaType: missing, and the fields are not those of the Content-Type"},
		{"text/html, which a browser would run", "text/html", `{"schemaVersion":2,"mediaType":"text/html","config":` + config + `,"layers":[]}`,
			"mediaType: not the type of a JSON document"},
		{"Content-Type text/html alone", "text/html", image, "mediaType: differs from the Content-Type"},
		{"a media type with a line break", "", `{"schemaVersion":2,"mediaType":"application/vnd.a\r\nX: y","config":` + config + `}`,
			"mediaType: not the type of a JSON document"},
		{"a media type that is no text", "", `{"schemaVersion":2,"mediaType":2,"config":` + config + `}`, "mediaType: not of the right type"},

		{"nested deeper than anybody reads", "", `{"x":` + strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40) + `}`, "nested deeper than 32 levels"},
		{"nested as deep as fits", "", strings.Repeat(`[`, 1<<20), "nested deeper than 32 levels"},
		{"bad UTF-8, which encoding/json mends", "", strings.Replace(image, "schema", "sch\xffma", 1), "not valid UTF-8"},
		{"something behind the end", "", image + `{}`, "something follows the document"},

		{"size -1", "", change(`"size":8`, `"size":-1`), "layers[0].size: negative"},
		{"size 1e99", "", change(`"size":8`, `"size":1e99`), "layers[0].size: not of the right type"},
		{"size 1.5", "", change(`"size":8`, `"size":1.5`), "layers[0].size: not of the right type"},
		{"size beyond 63 bits", "", change(`"size":8`, `"size":9223372036854775808`), "layers[0].size: not of the right type"},
		{"size as text", "", change(`"size":8`, `"size":"8"`), "layers[0].size: not of the right type"},
		{"no digest", "", change(`"digest":"`+sumB+`",`, ``), "layers[0].digest: missing"},
		{"digest null", "", change(`"`+sumB+`"`, `null`), "layers[0].digest: missing"},
		{"a layer that is null", "", withLayer(`null`), "layers[0].digest: missing"},
		{"a layer that is a text", "", withLayer(layer + `,"` + sumA + `"`), "layers[1]: not of the right type"},
		{"an algorithm that is not served", "", change(sumB, "sha384:"+strings.Repeat("a", 96)), "layers[0].digest: invalid digest: unsupported algorithm"},
		{"md5", "", change(sumB, "md5:"+strings.Repeat("a", 32)), "layers[0].digest: invalid digest: unsupported algorithm"},
		{"a digest in capitals", "", change(sumB, strings.ToUpper(sumB[7:])), "layers[0].digest: invalid digest"},
		{"a digest that climbs", "", change(sumB, "sha256:../../../../etc/passwd"), "layers[0].digest: invalid digest"},
		{"data of another size", "", change(`"size":8`, `"size":8,"data":"e30="`), "layers[0].data: not what the descriptor describes"},
		{"data of another digest", "", change(`"size":8`, `"size":2,"data":"e30="`), "layers[0].data: not what the descriptor describes"},
		{"empty data of a layer that is not", "", change(`"size":8`, `"size":8,"data":""`), "layers[0].data: not what the descriptor describes"},
		{"data that is no base64", "", change(`"size":8`, `"size":8,"data":"*"`), "layers[0].data: not base64"},
		{"config with a negative size", "", strings.Replace(image, `"size":7`, `"size":-7`, 1), "config.size: negative"},
		{"an entry of an index with a negative size", "", `{` + typedIndex + `,"manifests":[` + strings.Replace(child, `"size":9`, `"size":-9`, 1) + `]}`, "manifests[0].size: negative"},
		{"a blob with a negative size", "", `{"blobs":[` + strings.Replace(layer, `"size":8`, `"size":-8`, 1) + `]}`, "blobs[0].size: negative"},
		{"subject with a bad digest", "", strings.Replace(image, `}]}`, `}],"subject":`+strings.Replace(child, "sha256", "sha257", 1)+`}`, 1), "subject.digest: invalid digest"},
		{"layers as an object", "", `{` + typed + `,"config":` + config + `,"layers":{}}`, "layers: not of the right type"},
		{"annotations that are no texts", "", `{` + typed + `,"config":` + config + `,"annotations":{"a":1}}`, "annotations: not of the right type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := manifest.Parse(tt.contentType, []byte(tt.raw))
			var invalid *manifest.Error
			if m != nil || !errors.Is(err, manifest.ErrInvalid) || !errors.As(err, &invalid) {
				t.Fatalf("Parse is %+v, %v", m, err)
			}
			if got := invalid.Reasons()[0]; !strings.HasPrefix(got, tt.reason) {
				t.Errorf("first reason %q; want %q", got, tt.reason)
			}
			if !strings.HasPrefix(err.Error(), "invalid manifest: ") {
				t.Errorf("error %q", err)
			}
		})
	}
}
