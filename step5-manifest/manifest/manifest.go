// Package manifest reads manifests and indexes as a registry must: strictly
// where two readers could see two documents in the same bytes, and otherwise by
// shape rather than by a list of known types, since artifacts of all kinds are
// pushed. The bytes themselves are never changed. manifest.go reads, shape.go
// settles which type of document it is.
package manifest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"iter"
	"strconv"
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

// Parse reads a document that was pushed as contentType, "" if that was not
// said. Its errors are ErrInvalid, an *Error.
func Parse(contentType string, raw []byte) (*Manifest, error) {
	if faults := oci.Strict(raw); len(faults) > 0 {
		return nil, &Error{faults}
	}
	var doc document
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fault(explain("", err))
	}
	mediaType, err := doc.mediaType(bareType(contentType))
	if err != nil {
		return nil, err
	}
	m := &Manifest{MediaType: mediaType, ArtifactType: doc.ArtifactType, Annotations: doc.Annotations}
	switch {
	case doc.Manifests != nil:
		m.Manifests, err = descriptors("manifests", *doc.Manifests)
	case doc.Blobs != nil:
		m.Blobs, err = descriptors("blobs", *doc.Blobs)
	default:
		err = m.image(doc)
	}
	if err == nil && doc.Subject != nil {
		m.Subject = new(oci.Descriptor)
		*m.Subject, err = descriptor("subject", *doc.Subject)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// image reads what only an image manifest has.
func (m *Manifest) image(doc document) error {
	config, err := descriptor("config", *doc.Config)
	if err != nil {
		return err
	}
	m.Blobs = []oci.Descriptor{config}
	if m.ArtifactType == "" {
		m.ArtifactType = config.MediaType
	}
	if doc.Layers == nil {
		return nil
	}
	layers, err := descriptors("layers", *doc.Layers)
	m.Blobs = append(m.Blobs, layers...)
	return err
}

func descriptors(path string, list []json.RawMessage) ([]oci.Descriptor, error) {
	all := make([]oci.Descriptor, len(list))
	for i, raw := range list {
		var err error
		if all[i], err = descriptor(path+"["+strconv.Itoa(i)+"]", raw); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// descriptor reads one descriptor and asks of it what a registry relies on.
func descriptor(path string, raw json.RawMessage) (oci.Descriptor, error) {
	var d oci.Descriptor
	if err := json.Unmarshal(raw, &d); err != nil {
		return d, fault(explain(path, err))
	}
	switch {
	case d.Digest.IsZero():
		return d, fault(path+".digest", "missing")
	case d.Size < 0:
		return d, fault(path+".size", "negative")
	case d.Data == nil:
	case int64(len(d.Data)) != d.Size, d.Digest.Algorithm().FromBytes(d.Data) != d.Digest:
		return d, fault(path+".data", "not what the descriptor describes")
	}
	return d, nil
}

// explain says where the fault is that encoding/json found at path, and what it
// is, as far as that can be told without repeating what stands there.
func explain(path string, err error) (where, reason string) {
	var wrongType *json.UnmarshalTypeError
	var notBase64 base64.CorruptInputError
	switch {
	case errors.As(err, &wrongType):
		return strings.Trim(path+"."+wrongType.Field, "."), "not of the right type"
	case errors.Is(err, digest.ErrInvalid):
		return path + ".digest", err.Error()
	case errors.As(err, &notBase64):
		return path + ".data", "not base64"
	}
	return path, "not readable"
}
