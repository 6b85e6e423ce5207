package oci

import (
	"maps"
	"slices"
	"strings"
)

// Strict returns what would let two readers see two documents in the same
// manifest or index: equal keys, known keys in other letters, bad UTF-8, nesting
// beyond reason, something behind the end. Beyond that it does not ask whether
// the document is right: that is Check's. The result is nil if all is well.
func Strict(raw []byte) []Fault {
	var f faults
	tree, ok := parseTree(raw, &f)
	if !ok {
		return f
	}
	if doc, ok := tree.(map[string]any); ok {
		f.allVariants("", fieldsOf(ManifestObject), doc)
	} else {
		f.must("", "not a JSON object")
	}
	return f
}

// fieldsOf is what readers may look for in an object that they take for an o.
// Whether a document is a manifest or an index shows only by its fields, so each
// answers for the other's.
func fieldsOf(o *Object) map[string]Field {
	kinds := []*Object{o}
	if o == ManifestObject || o == IndexObject {
		kinds = []*Object{ManifestObject, IndexObject, artifactObject}
	}
	known := map[string]Field{}
	for _, kind := range kinds {
		for _, field := range kind.Fields {
			known[field.Key] = field
		}
	}
	return known
}

// allVariants finds known keys in other letters in an object and in what it holds.
func (f *faults) allVariants(path string, known map[string]Field, object map[string]any) {
	f.variants(path, known, object)
	for _, key := range slices.Sorted(maps.Keys(known)) {
		field := known[key]
		switch v := object[key].(type) {
		case map[string]any:
			if field.Kind == KindObject {
				f.allVariants(join(path, key), fieldsOf(field.Of), v)
			}
		case []any:
			if field.Kind != KindObjects {
				continue
			}
			of := fieldsOf(field.Of)
			for i, e := range v {
				if part, ok := e.(map[string]any); ok && len(*f) < maxFaults {
					f.allVariants(element(join(path, key), i), of, part)
				}
			}
		}
	}
}

// variants finds the keys of object that are known ones in other letters.
func (f *faults) variants(path string, known map[string]Field, object map[string]any) {
	var found []string
	for key := range object {
		if _, ok := known[key]; ok {
			continue
		}
		for other := range known {
			if strings.EqualFold(key, other) {
				found = append(found, key)
			}
		}
	}
	slices.Sort(found)
	for _, key := range slices.Compact(found) {
		f.must(join(path, shorten(key)), "a known key in other letters; some readers take it for that one, others do not")
	}
}
