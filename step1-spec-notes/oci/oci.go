// Package oci holds the documents of the OCI image specification as Go types:
// the descriptor, which points at content; the manifest and the index, which are
// made of descriptors; the image config. Docker's formats of version 2 have the
// same fields under other media types, so the same types read them.
//
// The types say what a document may hold, not that it is right: Check does that.
//
// Reading order: oci.go, config.go, mediatype.go, schema.go, check.go (which uses
// tree.go and value.go).
//
// Source: OCI image specification, descriptor.md, manifest.md, image-index.md,
// config.md.
package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
)

// SchemaVersion is what "schemaVersion" must be in manifests and indexes.
const SchemaVersion = 2

// Descriptor points at content by its hash, and says beforehand what it is and
// how large.
//
// Source: descriptor.md, "Properties".
type Descriptor struct {
	// MediaType is what the content is; required.
	MediaType string `json:"mediaType"`
	// Digest names the content; required. The zero Digest is left out rather than
	// written as "", which nobody could read back.
	Digest digest.Digest `json:"digest,omitzero"`
	// Size is the content's length in bytes; required, never negative.
	Size int64 `json:"size"`
	// URLs are further places to fetch the content from.
	URLs        []string          `json:"urls,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	// Data is the content itself, where it is so small that a request for it would
	// cost more; base64 in JSON.
	Data []byte `json:"data,omitempty"`
	// Platform is what an image runs on; only in an index.
	Platform *Platform `json:"platform,omitempty"`
	// ArtifactType repeats that of the manifest that the descriptor points at.
	ArtifactType string `json:"artifactType,omitempty"`
}

// EmptyDescriptor stands where a descriptor is required and there is nothing to
// describe, such as the config of an artifact. Its content is "{}".
//
// Source: manifest.md, "Guidance for an Empty Descriptor".
var EmptyDescriptor = Descriptor{
	MediaType: MediaTypeEmptyJSON,
	Digest:    digest.FromBytes([]byte("{}")),
	Size:      2,
	Data:      []byte("{}"),
}

// Platform is what an image runs on.
//
// Source: image-index.md, "platform".
type Platform struct {
	// Architecture and OS are GOARCH and GOOS; both required.
	Architecture string   `json:"architecture"`
	OS           string   `json:"os"`
	OSVersion    string   `json:"os.version,omitempty"`
	OSFeatures   []string `json:"os.features,omitempty"`
	// Variant is that of the CPU: "v7" of arm.
	Variant string `json:"variant,omitempty"`
}

// ParsePlatform reads "os/architecture" or "os/architecture/variant".
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return Platform{}, fmt.Errorf("platform %q: want os/architecture[/variant]", s)
	}
	for _, part := range parts {
		if part == "" {
			return Platform{}, errors.New("platform: empty part")
		}
	}
	p := Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

// String is the form that ParsePlatform reads.
func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// Manifest is one image for one platform, or one artifact: a config and layers.
//
// Source: manifest.md, "Image Manifest Property Descriptions".
type Manifest struct {
	SchemaVersion int `json:"schemaVersion"`
	// MediaType repeats the type of this document.
	MediaType string `json:"mediaType,omitempty"`
	// ArtifactType says what it is if it is not an image.
	ArtifactType string       `json:"artifactType,omitempty"`
	Config       Descriptor   `json:"config"`
	Layers       []Descriptor `json:"layers"`
	// Subject is the manifest that this one says something about. It need not exist.
	Subject     *Descriptor       `json:"subject,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// MarshalJSON writes Layers as a list also where there are none.
func (m Manifest) MarshalJSON() ([]byte, error) {
	type plain Manifest
	if m.Layers == nil {
		m.Layers = []Descriptor{}
	}
	return json.Marshal(plain(m))
}

// Index is a list of manifests: one image for several platforms, or the answer to
// a request for referrers.
//
// Source: image-index.md, "Image Index Property Descriptions".
type Index struct {
	SchemaVersion int `json:"schemaVersion"`
	// MediaType repeats the type of this document.
	MediaType    string            `json:"mediaType,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Manifests    []Descriptor      `json:"manifests"`
	Subject      *Descriptor       `json:"subject,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// MarshalJSON writes Manifests as a list also where there are none.
func (x Index) MarshalJSON() ([]byte, error) {
	type plain Index
	if x.Manifests == nil {
		x.Manifests = []Descriptor{}
	}
	return json.Marshal(plain(x))
}
