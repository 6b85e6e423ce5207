package oci_test

import (
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/oci"
)

func TestStrict(t *testing.T) {
	const variant = ": a known key in other letters; some readers take it for that one, others do not"
	tests := []struct{ name, text, want, reason string }{
		{"empty object", `{}`, "", "strict is not complete"},
		{"wrong values", `{"layers":1,"config":[],"size":-1}`, "", "values are Check's"},
		{"annotations", `{"annotations":{"a":"","A":"","Layers":""}}`, "", "their keys are the author's"},
		{"unknown object", `{"x":{"Digest":1}}`, "", "nobody looks in there"},
		{"null child", `{"layers":[null,{}]}`, "", ""},
		{"not an object", `[]`, "not a JSON object", ""},
		{"not JSON", `{`, "not JSON: it ends too early at byte 1", ""},
		{"bad UTF-8", "{\"a\":\"\xff\"}", "not valid UTF-8", "readers mend it in different ways"},
		{"trailing document", `{}{}`, "something follows the document, which ends at byte 2", ""},
		{"equal keys anywhere", `{"x":[{"y":1,"y":2}]}`, "x[0].y: the key stands there twice; readers disagree which one counts", ""},
		{"variant", `{"Layers":[]}`, "Layers" + variant, ""},
		{"variant of an index's key", `{"layers":[],"MANIFESTS":[]}`, "MANIFESTS" + variant, ""},
		{"variant of a draft's key", `{"Blobs":[]}`, "Blobs" + variant, ""},
		{"variant in a child", `{"layers":[{},{"Digest":""}]}`, "layers[1].Digest" + variant, ""},
		{"variant in a draft's child", `{"blobs":[{"SIZE":1}]}`, "blobs[0].SIZE" + variant, ""},
		{"variant in the subject", `{"subject":{"mediatype":""}}`, "subject.mediatype" + variant, ""},
		{"variant in a platform", `{"manifests":[{"platform":{"OS":""}}]}`, "manifests[0].platform.OS" + variant, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range oci.Strict([]byte(tt.text)) {
				got = append(got, f.String())
			}
			if strings.Join(got, "\n") != tt.want {
				t.Errorf("Strict = %q, want %q (%s)", got, tt.want, tt.reason)
			}
		})
	}
}
