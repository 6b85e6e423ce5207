package oci

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"shibafu.dev/step1-spec-notes/digest"
)

// Fault is one thing that is wrong in a document.
type Fault struct {
	// Path leads to the field: "layers[0].size"; "" is the whole document.
	Path string
	// Reason says what is wrong with it. It holds nothing of the document but keys
	// and media types.
	Reason string
	// Must tells a broken rule from advice that was not followed.
	Must bool
}

// String is "path: reason".
func (f Fault) String() string {
	if f.Path == "" {
		return f.Reason
	}
	return f.Path + ": " + f.Reason
}

// maxFaults bounds what one document can make us say.
const maxFaults = 50

type faults []Fault

func (f *faults) must(path, reason string)   { f.add(Fault{path, reason, true}) }
func (f *faults) should(path, reason string) { f.add(Fault{path, reason, false}) }

func (f *faults) add(fault Fault) {
	if len(*f) < maxFaults {
		*f = append(*f, fault)
	}
}

// Check reads a document of any of the three kinds and returns which it is,
// ManifestObject, IndexObject or ConfigObject, with all that is wrong in it, at
// most 50 faults. The kind is nil where the document has the shape of none. Keys
// that the specification does not know are not faults.
func Check(raw []byte) (*Object, []Fault) {
	var f faults
	tree, ok := parseTree(raw, &f)
	if !ok {
		return nil, f
	}
	doc, ok := tree.(map[string]any)
	if !ok {
		f.must("", "not a JSON object")
		return nil, f
	}
	kind := identify(doc, &f)
	if kind == nil {
		return nil, f
	}
	f.object("", kind, doc)
	switch kind {
	case ManifestObject:
		f.manifest(doc)
	case ConfigObject:
		f.layerCount(doc)
	}
	return kind, f
}

// identify goes by the fields, as a client that met the document without a
// Content-Type would, and holds the media type against what it finds.
func identify(doc map[string]any, f *faults) *Object {
	has := func(key string) bool { return doc[key] != nil }
	mediaType, _ := doc["mediaType"].(string)
	version, _ := doc["schemaVersion"].(json.Number)
	var kind *Object
	switch {
	case has("manifests") && (has("layers") || has("config")):
		f.must("", "both manifests and layers or config: one reader takes it for an index, another for an image")
		kind = ManifestObject
		if IsIndex(mediaType) {
			kind = IndexObject
		}
	case version == "1" || IsSchema1(mediaType):
		f.must("schemaVersion", "Docker's schema 1, whose layers have neither type nor size; push the image again with a newer client")
		return nil
	case has("manifests") || IsIndex(mediaType) && !has("layers"):
		kind = IndexObject
	case has("layers") || has("schemaVersion") || IsManifest(mediaType):
		kind = ManifestObject
	case has("rootfs") || has("architecture") || has("os"):
		return ConfigObject
	case mediaType == MediaTypeArtifactManifest:
		f.must("mediaType", "an artifact manifest, which a draft had and the specification has not; image manifests hold artifacts now")
		return nil
	default:
		f.must("", "none of image manifest, image index and image config: no manifests, layers or rootfs")
		return nil
	}
	switch {
	case mediaType == "":
	case !IsIndex(mediaType) && !IsManifest(mediaType):
		f.must("mediaType", "says "+quote(mediaType)+", which is not the type of an "+kind.Name)
	case IsIndex(mediaType) != (kind == IndexObject):
		f.must("mediaType", "says "+quote(mediaType)+", but the fields are those of an "+kind.Name)
	}
	return kind
}

// object checks the fields of o one by one.
func (f *faults) object(path string, o *Object, object map[string]any) {
	for _, field := range o.Fields {
		at := join(path, field.Key)
		switch v := object[field.Key]; {
		case v != nil:
			f.value(at, field, v)
		case field.Need == Required:
			f.must(at, "missing, and "+string(Required))
		case field.Need == Recommended:
			f.should(at, "missing; it "+string(Recommended)+" be there")
		}
	}
	f.variants(path, fieldsOf(o), object)
	if o == DescriptorObject {
		f.embedded(path, object)
	}
}

// value checks one value by its kind. Lists are walked here, everything else is
// judged by scalar.
func (f *faults) value(path string, field Field, v any) {
	switch field.Kind {
	case KindObject:
		if object, ok := v.(map[string]any); ok {
			f.object(path, field.Of, object)
			return
		}
		f.must(path, "want an object")
	case KindObjects, KindStrings, KindDigests:
		list, ok := v.([]any)
		if !ok {
			f.must(path, "want a list")
		}
		one := Field{Kind: map[Kind]Kind{KindObjects: KindObject, KindStrings: KindString, KindDigests: KindDigest}[field.Kind], Of: field.Of}
		for i, v := range list {
			if len(*f) == maxFaults {
				return
			}
			f.value(element(path, i), one, v)
		}
	case KindMap, KindSet:
		f.free(path, field.Kind, v)
	default:
		if reason := scalar(field.Kind, v); reason != "" {
			f.must(path, reason)
		}
	}
}

// manifest checks what holds between the fields of a manifest.
func (f *faults) manifest(doc map[string]any) {
	config, _ := doc["config"].(map[string]any)
	if config["mediaType"] == MediaTypeEmptyJSON && doc["artifactType"] == nil {
		f.must("artifactType", "missing, and "+string(Required)+" where the config is the empty one")
	}
	if layers, ok := doc["layers"].([]any); ok && len(layers) == 0 {
		f.should("layers", "empty; some registries want at least one, which may be the empty descriptor")
	}
}

// embedded holds the data of a descriptor against its size and digest.
func (f *faults) embedded(path string, object map[string]any) {
	text, ok := object["data"].(string)
	data, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil {
		return
	}
	if n, ok := object["size"].(json.Number); ok && n.String() != fmt.Sprint(len(data)) {
		f.must(join(path, "data"), fmt.Sprintf("holds %d bytes, which is not the size", len(data)))
	}
	name, _ := object["digest"].(string)
	if d, err := digest.Parse(name); err == nil && d.Algorithm().FromBytes(data) != d {
		f.must(join(path, "data"), "is not what the digest names")
	}
}

// layerCount holds the history of a config against its layers.
func (f *faults) layerCount(doc map[string]any) {
	rootfs, _ := doc["rootfs"].(map[string]any)
	layers, _ := rootfs["diff_ids"].([]any)
	history, ok := doc["history"].([]any)
	if !ok {
		return
	}
	made := 0
	for _, v := range history {
		if step, _ := v.(map[string]any); step["empty_layer"] != true {
			made++
		}
	}
	if made != len(layers) {
		f.must("history", fmt.Sprintf("tells of %d layers, but rootfs.diff_ids has %d", made, len(layers)))
	}
}
