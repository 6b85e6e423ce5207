package manifest

import (
	"encoding/json"
	"strings"

	"shibafu.dev/step1-spec-notes/oci"
)

// document has the fields of all shapes; which are there tells the shape.
type document struct {
	SchemaVersion *int               `json:"schemaVersion"`
	MediaType     string             `json:"mediaType"`
	ArtifactType  string             `json:"artifactType"`
	Config        *json.RawMessage   `json:"config"`
	Layers        *[]json.RawMessage `json:"layers"`
	Blobs         *[]json.RawMessage `json:"blobs"` // of the artifact manifest that OCI gave up
	Manifests     *[]json.RawMessage `json:"manifests"`
	Subject       *json.RawMessage   `json:"subject"`
	Annotations   map[string]string  `json:"annotations"`
}

// shape is the media type of documents with these fields.
func shape(hasManifests, hasBlobs bool) string {
	switch {
	case hasManifests:
		return oci.MediaTypeImageIndex
	case hasBlobs:
		return oci.MediaTypeArtifactManifest
	}
	return oci.MediaTypeImageManifest
}

// mediaType settles what the document is: what it says itself, which must be what
// its shape says and what it was pushed as.
func (doc *document) mediaType(contentType string) (string, error) {
	isIndex, isArtifact, isImage := doc.Manifests != nil, doc.Blobs != nil, doc.Config != nil || doc.Layers != nil
	switch {
	case isIndex && (isImage || isArtifact), isImage && isArtifact:
		return "", fault("", "more than one of manifests, blobs, and config and layers: one reader takes it for an index, another for an image")
	case doc.SchemaVersion != nil && *doc.SchemaVersion == 1, oci.IsSchema1(strings.ToLower(doc.MediaType)), oci.IsSchema1(contentType):
		return "", fault("schemaVersion", "Docker's schema 1 is not served; push the image again with a client of this decade")
	case !isArtifact && (doc.SchemaVersion == nil || *doc.SchemaVersion != oci.SchemaVersion):
		return "", fault("schemaVersion", "want 2")
	case !isIndex && !isArtifact && doc.Config == nil:
		return "", fault("", "neither manifests nor config and layers")
	}
	shape := shape(isIndex, isArtifact)
	said := strings.ToLower(doc.MediaType)
	switch {
	case doc.MediaType == "" && contentType != "" && contentType != shape:
		return "", fault("mediaType", "missing, and the fields are not those of the Content-Type")
	case doc.MediaType == "":
		return shape, nil
	case oci.IsIndex(said) && !isIndex, oci.IsManifest(said) && !isImage, said == oci.MediaTypeArtifactManifest && !isArtifact:
		return "", fault("mediaType", "the fields are not those of this type")
	case contentType != "" && contentType != said:
		return "", fault("mediaType", "differs from the Content-Type")
	case !servable(doc.MediaType):
		return "", fault("mediaType", "not the type of a JSON document")
	}
	return doc.MediaType, nil
}

// bareType is a Content-Type without its parameters.
func bareType(contentType string) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(mediaType))
}

// servable keeps a manifest from being served as what a browser would run.
func servable(mediaType string) bool {
	return oci.IsMediaType(mediaType) && strings.HasPrefix(mediaType, "application/") &&
		(strings.HasSuffix(mediaType, "+json") || strings.HasPrefix(mediaType, "application/vnd."))
}

// MediaType is the media type of a document that is already stored: its own, else
// that of its shape. For one that Parse accepts it is what Parse says.
func MediaType(raw []byte) string {
	var doc struct {
		MediaType string           `json:"mediaType"`
		Manifests *json.RawMessage `json:"manifests"`
		Blobs     *json.RawMessage `json:"blobs"`
	}
	if err := json.Unmarshal(raw, &doc); err == nil && servable(doc.MediaType) {
		return doc.MediaType
	}
	return shape(doc.Manifests != nil, doc.Blobs != nil)
}
