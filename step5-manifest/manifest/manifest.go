// Package manifest reads manifests and indexes as a registry must: strictly
// where two readers could see two documents in the same bytes, and otherwise by
// shape rather than by a list of known types, since artifacts of all kinds are
// pushed. The bytes themselves are never changed.
package manifest

import (
	"encoding/json"
	"errors"
	"iter"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
)

// MaxSize is how large a manifest every registry should accept, in bytes.
//
// Source: OCI distribution specification, "Pushing Manifests".
const MaxSize = 4 << 20

// ErrInvalid is what every error of Parse is.
var ErrInvalid = errors.New("invalid manifest")

// Error says what is wrong in a manifest.
type Error struct {
	// Faults are never empty. They hold no more of the document than keys and media
	// types.
	Faults []oci.Fault
}

// Error lists the faults.
func (e *Error) Error() string { return ErrInvalid.Error() + ": " + strings.Join(e.Reasons(), "; ") }

// Is makes errors.Is(e, ErrInvalid) true.
func (e *Error) Is(target error) bool { return target == ErrInvalid }

// Reasons are the faults as text.
func (e *Error) Reasons() []string {
	var reasons []string
	for _, f := range e.Faults {
		reasons = append(reasons, f.String())
	}
	return reasons
}

func fault(path, reason string) error {
	return &Error{[]oci.Fault{{Path: path, Reason: reason, Must: true}}}
}

// Manifest is what a registry needs to know of a manifest or an index.
type Manifest struct {
	// MediaType is the document's own, else that of its shape.
	MediaType string
	// ArtifactType is the document's own, else for an image manifest the type of its
	// config. An index may have none.
	ArtifactType string
	Annotations  map[string]string
	// Subject is the manifest that this one refers to, or nil. It need not exist.
	Subject *oci.Descriptor
	// Blobs are the config and the layers, Manifests the entries of an index; one of
	// the two is nil.
	Blobs, Manifests []oci.Descriptor
}

// Children yields what must be there before the manifest may be stored, the
// subject not among them.
func (m *Manifest) Children() iter.Seq[oci.Descriptor] {
	return func(yield func(oci.Descriptor) bool) {
		for _, list := range [][]oci.Descriptor{m.Blobs, m.Manifests} {
			for _, d := range list {
				if !yield(d) {
					return
				}
			}
		}
	}
}

// Referrer is the descriptor by which a list of referrers shows this manifest,
// whose bytes have the digest d and that size.
//
// Source: OCI distribution specification, "Listing Referrers".
func (m *Manifest) Referrer(d digest.Digest, size int64) oci.Descriptor {
	return oci.Descriptor{MediaType: m.MediaType, Digest: d, Size: size, ArtifactType: m.ArtifactType, Annotations: m.Annotations}
}

// document has the fields of all shapes; which are there tells the shape.
type document struct {
	SchemaVersion *int              `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *oci.Descriptor   `json:"config"`
	Layers        *[]oci.Descriptor `json:"layers"`
	Blobs         *[]oci.Descriptor `json:"blobs"` // of the artifact manifest that OCI gave up
	Manifests     *[]oci.Descriptor `json:"manifests"`
	Subject       *oci.Descriptor   `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// Parse reads a document that was pushed as contentType, "" if that was not
// said. Its errors are ErrInvalid, an *Error.
func Parse(contentType string, raw []byte) (*Manifest, error) {
	if faults := oci.Strict(raw); len(faults) > 0 {
		return nil, &Error{faults}
	}
	var doc document
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, explain(raw, err)
	}
	mediaType, err := doc.mediaType(bareType(contentType))
	if err != nil {
		return nil, err
	}
	m := &Manifest{MediaType: mediaType, ArtifactType: doc.ArtifactType, Annotations: doc.Annotations, Subject: doc.Subject}
	switch {
	case doc.Manifests != nil:
		m.Manifests = *doc.Manifests
	case doc.Blobs != nil:
		m.Blobs = *doc.Blobs
	default:
		m.Blobs = []oci.Descriptor{*doc.Config}
		if doc.Layers != nil {
			m.Blobs = append(m.Blobs, *doc.Layers...)
		}
		if m.ArtifactType == "" {
			m.ArtifactType = doc.Config.MediaType
		}
	}
	return m, m.checkDescriptors(raw)
}

// bareType is a Content-Type without its parameters.
func bareType(contentType string) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(mediaType))
}

// mediaType settles what the document is: what it says itself, which must be what
// its shape says and what it was pushed as.
func (doc *document) mediaType(contentType string) (string, error) {
	isIndex, isImage := doc.Manifests != nil, doc.Config != nil || doc.Layers != nil
	switch {
	case isIndex && (isImage || doc.Blobs != nil), isImage && doc.Blobs != nil:
		return "", fault("", "both manifests and layers, config or blobs: one reader takes it for an index, another for an image")
	case doc.SchemaVersion != nil && *doc.SchemaVersion == 1, oci.IsSchema1(doc.MediaType), oci.IsSchema1(contentType):
		return "", fault("schemaVersion", "Docker's schema 1 is not served; push the image again with a client of this decade")
	case doc.Blobs == nil && (doc.SchemaVersion == nil || *doc.SchemaVersion != oci.SchemaVersion):
		return "", fault("schemaVersion", "want 2")
	case !isIndex && doc.Blobs == nil && doc.Config == nil:
		return "", fault("", "neither manifests nor config and layers")
	}
	shape := oci.MediaTypeImageManifest
	switch {
	case isIndex:
		shape = oci.MediaTypeImageIndex
	case doc.Blobs != nil:
		shape = oci.MediaTypeArtifactManifest
	}
	switch {
	case doc.MediaType == "":
		if contentType != "" && contentType != shape {
			return "", fault("mediaType", "missing, and the fields are not those of the Content-Type")
		}
		return shape, nil
	case oci.IsIndex(doc.MediaType) && !isIndex, oci.IsManifest(doc.MediaType) && !isImage, doc.MediaType == oci.MediaTypeArtifactManifest && doc.Blobs == nil:
		return "", fault("mediaType", "the fields are not those of this type")
	case contentType != "" && contentType != strings.ToLower(doc.MediaType):
		return "", fault("mediaType", "differs from the Content-Type")
	case !servable(doc.MediaType):
		return "", fault("mediaType", "not the type of a JSON document")
	}
	return doc.MediaType, nil
}

// servable keeps a manifest from being served as what a browser would run.
func servable(mediaType string) bool {
	return oci.IsMediaType(mediaType) && strings.HasPrefix(mediaType, "application/") &&
		(strings.HasSuffix(mediaType, "+json") || strings.HasPrefix(mediaType, "application/vnd."))
}

// checkDescriptors asks of each descriptor what a registry relies on.
func (m *Manifest) checkDescriptors(raw []byte) error {
	for d := range m.Children() {
		if err := checkDescriptor(d); err != nil {
			return explain(raw, err)
		}
	}
	if m.Subject != nil {
		if err := checkDescriptor(*m.Subject); err != nil {
			return explain(raw, err)
		}
	}
	return nil
}

func checkDescriptor(d oci.Descriptor) error {
	switch {
	case d.Digest.IsZero():
		return errors.New("a descriptor has no digest")
	case d.Size < 0:
		return errors.New("a descriptor has a negative size")
	case d.Data == nil:
		return nil
	case int64(len(d.Data)) != d.Size, d.Digest.Algorithm().FromBytes(d.Data) != d.Digest:
		return errors.New("the data of a descriptor is not what it describes")
	}
	return nil
}

// explain says where in raw the fault is that cause was made of, as far as that
// can be found.
func explain(raw []byte, cause error) error {
	_, all := oci.Check(raw)
	var musts []oci.Fault
	for _, f := range all {
		if f.Must {
			musts = append(musts, f)
		}
	}
	if len(musts) > 0 {
		return &Error{musts}
	}
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(cause, &wrongType):
		return fault(wrongType.Field, "not of the right type")
	case errors.Is(cause, digest.ErrInvalid):
		return fault("", "a digest is invalid or of an algorithm that is not supported")
	}
	return fault("", cause.Error())
}

// MediaType is the media type of a document that is already stored: its own, else
// that of its shape.
func MediaType(raw []byte) string {
	var doc struct {
		MediaType string          `json:"mediaType"`
		Manifests json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &doc); err == nil && servable(doc.MediaType) {
		return doc.MediaType
	}
	if doc.Manifests != nil {
		return oci.MediaTypeImageIndex
	}
	return oci.MediaTypeImageManifest
}
