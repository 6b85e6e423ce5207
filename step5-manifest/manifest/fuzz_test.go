package manifest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step5-manifest/manifest"
)

// What Parse accepts, everybody reads in the same way: a reader of plain maps,
// which knows neither our types nor that keys have letters of two cases, sees the
// same children in the same bytes.
func FuzzParse(f *testing.F) {
	f.Add("", []byte(image))
	f.Add(oci.MediaTypeImageIndex, []byte(`{`+typedIndex+`,"manifests":[`+child+`],"subject":`+config+`}`))
	f.Add(oci.MediaTypeArtifactManifest, []byte(`{"mediaType":"`+oci.MediaTypeArtifactManifest+`","blobs":[`+layer+`]}`))
	f.Add("", []byte(`{`+typed+`,"config":`+config+`,"layers":[],"\u006cayers":[`+layer+`]}`))
	f.Add("", []byte(`{`+typed+`,"config":`+config+`,"LAYERS":[`+layer+`]}`))
	f.Add("text/html", []byte(`{"schemaVersion":2,"mediaType":"text/html","manifests":[]}`))
	f.Add("", []byte(change(`"size":8`, `"size":1e99`)))
	f.Fuzz(func(t *testing.T, contentType string, raw []byte) {
		before := slices.Clone(raw)
		m, err := manifest.Parse(contentType, raw)
		if !slices.Equal(before, raw) {
			t.Fatal("the bytes were changed")
		}
		if err != nil {
			if m != nil || len(err.(*manifest.Error).Faults) == 0 {
				t.Fatalf("refused with %+v, %v", m, err)
			}
			return
		}
		if again, err := manifest.Parse(m.MediaType, raw); err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("read again as %q: %+v, %v; first %+v", m.MediaType, again, err, m)
		}
		if got := manifest.MediaType(raw); got != m.MediaType {
			t.Fatalf("once stored its type is %q; was %q", got, m.MediaType)
		}
		var got []string
		for d := range m.Children() {
			got = append(got, fmt.Sprint(d.Digest, " ", d.Size))
		}
		if want := reference(t, raw); !slices.Equal(got, want) {
			t.Fatalf("children %v; a reader of maps sees %v", got, want)
		}
	})
}

// reference reads the children as a program would that has only maps.
func reference(t *testing.T, raw []byte) (children []string) {
	var doc map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		t.Fatalf("accepted what is no JSON: %v", err)
	}
	add := func(v any) {
		d, _ := v.(map[string]any)
		number, _ := d["size"].(json.Number)
		size, _ := number.Int64()
		children = append(children, fmt.Sprint(d["digest"], " ", size))
	}
	if doc["config"] != nil {
		add(doc["config"])
	}
	for _, key := range []string{"layers", "blobs", "manifests"} {
		list, _ := doc[key].([]any)
		for _, v := range list {
			add(v)
		}
	}
	return children
}
