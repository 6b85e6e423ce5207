package oci

import "slices"

// Kind is the grammar that a field's value follows.
type Kind string

// The kinds of value.
const (
	KindVersion   Kind = "schema version"
	KindMediaType Kind = "media type"
	KindDigest    Kind = "digest"
	KindDigests   Kind = "list of digests"
	KindSize      Kind = "size"
	KindString    Kind = "string"
	KindStrings   Kind = "list of strings"
	KindBool      Kind = "boolean"
	KindTime      Kind = "time"
	KindRootFS    Kind = "type of rootfs"
	KindBase64    Kind = "base64"
	// KindMap is free: its keys are the author's, its values strings.
	KindMap Kind = "map of strings"
	// KindSet is free: its keys are the author's, its values {}.
	KindSet     Kind = "set"
	KindObject  Kind = "object"
	KindObjects Kind = "list of objects"
)

// Need is how much a field is asked for.
type Need string

// What the specification says of a field, in its own words.
const (
	Required    Need = "REQUIRED"
	Recommended Need = "SHOULD"
	Optional    Need = "OPTIONAL"
)

// Field is a row of the table of fields.
type Field struct {
	Key  string
	Kind Kind
	Need Need
	// Purpose is one sentence on what the field is for.
	Purpose string
	// Of is what a KindObject or KindObjects holds, else nil.
	Of *Object
}

// Object is a JSON object that the specification describes. Objects are compared
// by pointer; all there are stand below.
type Object struct {
	// Name is "image manifest".
	Name string
	// Source is the document of the image specification that describes it.
	Source string
	Fields []Field
}

// Field returns the row of key; ok is false if the object has none.
func (o *Object) Field(key string) (f Field, ok bool) {
	for _, f := range o.Fields {
		if f.Key == key {
			return f, true
		}
	}
	return Field{}, false
}

// The objects. A manifest, an index and a config are documents of their own; the
// others are parts of them.
var (
	PlatformObject = &Object{"platform", "image-index.md", []Field{
		{"architecture", KindString, Required, "The CPU, as in GOARCH.", nil},
		{"os", KindString, Required, "The operating system, as in GOOS.", nil},
		{"os.version", KindString, Optional, "The version of the operating system; Windows needs it.", nil},
		{"os.features", KindStrings, Optional, "What the operating system must offer.", nil},
		{"variant", KindString, Optional, "The variant of the CPU, such as v7 of arm.", nil},
	}}
	DescriptorObject = &Object{"descriptor", "descriptor.md", []Field{
		{"mediaType", KindMediaType, Required, "What the content is, known before it is fetched.", nil},
		{"digest", KindDigest, Required, "The hash of the content: its name, and the proof that it is the right one.", nil},
		{"size", KindSize, Required, "The length in bytes; more than that need not be read.", nil},
		{"urls", KindStrings, Optional, "Other places to fetch the content from.", nil},
		{"annotations", KindMap, Optional, "Notes for people and programs.", nil},
		{"data", KindBase64, Optional, "The content itself, where it is very small.", nil},
		{"platform", KindObject, Optional, "What an image runs on; clients choose by it.", PlatformObject},
		{"artifactType", KindMediaType, Optional, "The type of the artifact that it points at.", nil},
	}}
	ManifestObject = &Object{"image manifest", "manifest.md", []Field{
		{"schemaVersion", KindVersion, Required, "Always 2; Docker's clients ask for it.", nil},
		{"mediaType", KindMediaType, Recommended, "The type of this document, so that nobody takes it for another.", nil},
		{"artifactType", KindMediaType, Optional, "What this is if it is not a container image.", nil},
		{"config", KindObject, Required, "Points at the config: how to run the image. Its digest is the image's ID.", DescriptorObject},
		{"layers", KindObjects, Recommended, "Point at the layers: the files, base first.", DescriptorObject},
		{"subject", KindObject, Optional, "Points at the manifest that this one says something about.", DescriptorObject},
		{"annotations", KindMap, Optional, "Notes for people and programs.", nil},
	}}
	IndexObject = &Object{"image index", "image-index.md", []Field{
		{"schemaVersion", KindVersion, Required, "Always 2; Docker's clients ask for it.", nil},
		{"mediaType", KindMediaType, Recommended, "The type of this document, so that nobody takes it for another.", nil},
		{"artifactType", KindMediaType, Optional, "What this is if it is not a container image.", nil},
		{"manifests", KindObjects, Required, "Point at manifests, mostly one for each platform; the first that fits is taken.", DescriptorObject},
		{"subject", KindObject, Optional, "Points at the manifest that this one says something about.", DescriptorObject},
		{"annotations", KindMap, Optional, "Notes for people and programs.", nil},
	}}
	// artifactObject is known for its keys only; see MediaTypeArtifactManifest.
	artifactObject = &Object{"artifact manifest", "", []Field{
		{"blobs", KindObjects, Optional, "Point at the artifact's content.", DescriptorObject},
	}}
	containerObject = &Object{"execution parameters", "config.md", []Field{
		{"User", KindString, Optional, "Who the process runs as.", nil},
		{"ExposedPorts", KindSet, Optional, "The ports that it listens on.", nil},
		{"Env", KindStrings, Optional, "Environment variables.", nil},
		{"Entrypoint", KindStrings, Optional, "The command.", nil},
		{"Cmd", KindStrings, Optional, "Arguments to the entrypoint, or the command if there is none.", nil},
		{"Volumes", KindSet, Optional, "The folders that hold data of one container.", nil},
		{"WorkingDir", KindString, Optional, "The folder that the process starts in.", nil},
		{"Labels", KindMap, Optional, "Notes for people and programs.", nil},
		{"StopSignal", KindString, Optional, "The signal that asks the process to end.", nil},
		{"ArgsEscaped", KindBool, Optional, "Docker's, for Windows; deprecated.", nil},
	}}
	rootfsObject = &Object{"rootfs", "config.md", []Field{
		{"type", KindRootFS, Required, "Always \"layers\".", nil},
		{"diff_ids", KindDigests, Required, "The hashes of the layers as uncompressed tar archives, base first.", nil},
	}}
	historyObject = &Object{"history", "config.md", []Field{
		{"created", KindTime, Optional, "When the step was taken.", nil},
		{"created_by", KindString, Optional, "The command of the step.", nil},
		{"author", KindString, Optional, "Who took it.", nil},
		{"comment", KindString, Optional, "A remark.", nil},
		{"empty_layer", KindBool, Optional, "True for a step that changed no file and so made no layer.", nil},
	}}
	ConfigObject = &Object{"image config", "config.md", slices.Concat([]Field{
		{"created", KindTime, Optional, "When the image was made.", nil},
		{"author", KindString, Optional, "Who answers for it.", nil},
	}, PlatformObject.Fields, []Field{
		{"config", KindObject, Optional, "What a container starts with unless told otherwise.", containerObject},
		{"rootfs", KindObject, Required, "The layers, named by what they are when unpacked.", rootfsObject},
		{"history", KindObjects, Optional, "How it was built, step by step.", historyObject},
	})}
)
