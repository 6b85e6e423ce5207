package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
)

// maxDocument is more than any registry accepts as a manifest.
const maxDocument = 16 << 20

// explainFile explains the document in a file, "-" being standard input.
func explainFile(name string, stdin io.Reader, stdout, stderr io.Writer) int {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			fmt.Fprintln(stderr, err)
			return exitUsage
		}
		defer file.Close()
		stdin = file
	}
	raw, err := io.ReadAll(io.LimitReader(stdin, maxDocument+1))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	if len(raw) > maxDocument {
		fmt.Fprintf(stderr, "more than %d bytes\n", maxDocument)
		return exitUsage
	}
	return explain(raw, stdout)
}

// explain prints what raw is, each field with what it is for, and what is wrong.
func explain(raw []byte, w io.Writer) int {
	kind, faults := oci.Check(raw)
	if kind != nil {
		fmt.Fprintf(w, "An %s (OCI image specification, %s) of %d bytes.\n", kind.Name, kind.Source, len(raw))
		fmt.Fprintf(w, "Its digest, and so its name, is %s.\n\n", digest.FromBytes(raw))
		e := explainer{w: w, said: map[string]bool{}}
		e.object("", kind, decode(raw))
		fmt.Fprintln(w)
	}
	broken := printFaults(w, "Wrong:", faults, true)
	advice := printFaults(w, "Advice:", faults, false)
	switch {
	case broken:
		return exitInvalid
	case !advice:
		fmt.Fprintln(w, "Nothing is wrong in it.")
	}
	return exitOK
}

// decode reads what Check has found to be an object. Of a key that stands there
// twice it sees one; the fault tells of the other.
func decode(raw []byte) map[string]any {
	var object map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&object); err != nil {
		return nil
	}
	return object
}

// printFaults prints those that break a rule, or those that do not.
func printFaults(w io.Writer, title string, faults []oci.Fault, must bool) (any bool) {
	for _, f := range faults {
		if f.Must != must {
			continue
		}
		if !any {
			fmt.Fprintln(w, title)
		}
		any = true
		fmt.Fprintln(w, " ", printable(f.String()))
	}
	return any
}

// explainer prints a document in the order of the specification's tables.
type explainer struct {
	w io.Writer
	// said holds the fields whose purpose was printed: once is enough.
	said map[string]bool
}

func (e *explainer) object(indent string, o *oci.Object, object map[string]any) {
	for _, f := range o.Fields {
		v, ok := object[f.Key]
		if !ok {
			continue
		}
		purpose := ""
		if id := o.Name + "." + f.Key; !e.said[id] {
			e.said[id] = true
			purpose = indent + "    " + f.Purpose
		}
		e.field(indent, f, v, purpose)
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if _, known := o.Field(key); !known {
			fmt.Fprintf(e.w, "%s%s: %s\n", indent, printable(key), stranger(o, key))
		}
	}
}

// stranger says what a key is that is not of the object in which it stands.
func stranger(o *oci.Object, key string) string {
	for _, f := range o.Fields {
		if strings.EqualFold(f.Key, key) {
			return "not " + f.Key + ", though it looks like it"
		}
	}
	for _, o := range []*oci.Object{oci.IndexObject, oci.ManifestObject, oci.ConfigObject} {
		if _, known := o.Field(key); known {
			return "a field of an " + o.Name + "; out of place here"
		}
	}
	return "not in the specification; kept and not looked at"
}

// field prints a field whose value may be of the wrong kind: then the value
// stands as it is, and what is wrong with it comes later.
func (e *explainer) field(indent string, f oci.Field, v any, purpose string) {
	object, isObject := v.(map[string]any)
	list, isList := v.([]any)
	head := indent + f.Key + ":"
	if !isObject && !isList {
		head += " " + scalar(f.Kind, v)
	}
	fmt.Fprintln(e.w, head)
	if purpose != "" {
		fmt.Fprintln(e.w, purpose)
	}
	switch {
	case isObject && f.Of != nil:
		e.object(indent+"  ", f.Of, object)
	case isObject:
		for _, key := range slices.Sorted(maps.Keys(object)) {
			fmt.Fprintf(e.w, "%s  %s\n", indent, pair(key, object[key]))
		}
	}
	for i, v := range list {
		if object, ok := v.(map[string]any); ok && f.Of != nil {
			fmt.Fprintf(e.w, "%s  [%d]\n", indent, i)
			e.object(indent+"    ", f.Of, object)
		} else {
			fmt.Fprintf(e.w, "%s  [%d] %s\n", indent, i, scalar("", v))
		}
	}
}

// pair prints an entry of a free object; those of a set have no value to speak of.
func pair(key string, v any) string {
	if object, ok := v.(map[string]any); ok && len(object) == 0 {
		return printable(key)
	}
	return printable(key) + ": " + scalar("", v)
}

// scalar prints a value, and of a media type what it stands for.
func scalar(kind oci.Kind, v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		if meaning := meaning(v); kind == oci.KindMediaType && meaning != "" {
			return printable(v) + " (" + meaning + ")"
		}
		return printable(v)
	case map[string]any, []any:
		text, _ := json.Marshal(v)
		return printable(string(text))
	}
	return printable(fmt.Sprint(v))
}

// meaning says in words what a media type stands for, "" if it is not known here.
func meaning(mediaType string) string {
	whose := "OCI"
	if strings.Contains(mediaType, "docker") {
		whose = "Docker"
	}
	switch {
	case oci.IsManifest(mediaType):
		return whose + " image manifest"
	case mediaType == oci.MediaTypeDockerManifestList:
		return "Docker manifest list"
	case oci.IsIndex(mediaType):
		return whose + " image index"
	case oci.IsImageConfig(mediaType):
		return whose + " image config"
	case mediaType == oci.MediaTypeEmptyJSON:
		return "nothing: the content is {}"
	case !oci.IsLayer(mediaType):
		return ""
	}
	words := whose + " layer, tar"
	for _, compression := range []string{"gzip", "zstd"} {
		if strings.HasSuffix(mediaType, compression) {
			words += " and " + compression
		}
	}
	if oci.IsNonDistributable(mediaType) {
		words += ", may stay away"
	}
	return words
}
