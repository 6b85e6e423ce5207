package layout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step2-cas/bucket"
)

// RefName is the annotation by which an index.json names an image.
//
// Source: OCI image specification, annotations.md.
const RefName = "org.opencontainers.image.ref.name"

const (
	// MaxIndex is how large index.json may be, in bytes, and maxEntries how many
	// entries it may have.
	MaxIndex   = 16 << 20
	maxEntries = 100_000
)

// Entry is one of an index.json's.
type Entry struct {
	// Name is "" for an image that has none, or none that could be one.
	Name string
	// Descriptor has the annotations too.
	Descriptor oci.Descriptor
}

// ParseIndex returns the entries of an index.json. Those that no descriptor can be
// read from, such as one with a digest of an unknown kind, are left out. ErrInvalid.
func ParseIndex(raw []byte) ([]Entry, error) {
	x, err := parseIndex(raw)
	if err != nil {
		return nil, err
	}
	return x.all(), nil
}

// index is an index.json: what it says, and in which words.
type index struct {
	// fields are those of the document but for "manifests".
	fields  map[string]json.RawMessage
	entries []entry
	version string // of the object; "" if there was none
}

type entry struct {
	Entry
	raw json.RawMessage
	// read tells whether Entry says what raw does; else raw is only kept.
	read bool
}

func newIndex() *index {
	return &index{fields: map[string]json.RawMessage{
		"schemaVersion": json.RawMessage("2"),
		"mediaType":     json.RawMessage(`"` + oci.MediaTypeImageIndex + `"`),
	}}
}

func parseIndex(raw []byte) (*index, error) {
	if len(raw) > MaxIndex {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrInvalid, MaxIndex)
	}
	if faults := oci.Strict(raw); len(faults) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrInvalid, faults[0])
	}
	var head struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		Manifests     []json.RawMessage `json:"manifests"`
	}
	x := &index{}
	if json.Unmarshal(raw, &head) != nil || json.Unmarshal(raw, &x.fields) != nil {
		return nil, fmt.Errorf("%w: fields are not of the right type", ErrInvalid)
	}
	switch {
	case head.SchemaVersion != oci.SchemaVersion:
		return nil, fmt.Errorf("%w: schemaVersion is not %d", ErrInvalid, oci.SchemaVersion)
	case head.MediaType != "" && head.MediaType != oci.MediaTypeImageIndex:
		return nil, fmt.Errorf("%w: mediaType is not that of an index", ErrInvalid)
	case len(head.Manifests) > maxEntries:
		return nil, fmt.Errorf("%w: more than %d entries", ErrInvalid, maxEntries)
	}
	delete(x.fields, "manifests")
	for _, raw := range head.Manifests {
		x.entries = append(x.entries, parseEntry(raw))
	}
	return x, nil
}

func parseEntry(raw json.RawMessage) entry {
	e := entry{raw: raw}
	d := &e.Descriptor
	if json.Unmarshal(raw, d) != nil || d.Digest.IsZero() || d.Size < 0 || !oci.IsMediaType(d.MediaType) {
		return entry{raw: raw}
	}
	e.read = true
	if name := d.Annotations[RefName]; CheckName(name) == nil {
		e.Name = name
	}
	return e
}

func (x *index) all() (all []Entry) {
	for _, e := range x.entries {
		if e.read {
			all = append(all, e.Entry)
		}
	}
	return all
}

// encode is the document, with all that was in it before.
func (x *index) encode() []byte {
	list := make([]json.RawMessage, len(x.entries))
	for i, e := range x.entries {
		list[i] = e.raw
	}
	fields := map[string]any{"manifests": list}
	for key, raw := range x.fields {
		fields[key] = raw
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(fields); err != nil {
		panic(err) // all of it was read as JSON, or made here
	}
	return out.Bytes()
}

// readIndex reads index.json; a layout without one has no images.
func (l *Layout) readIndex(ctx context.Context) (*index, error) {
	raw, info, err := bucket.ReadAll(ctx, l.bucket, indexFile, MaxIndex)
	if errors.Is(err, bucket.ErrNotExist) {
		return newIndex(), nil
	}
	if err != nil && info.Size > MaxIndex {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrInvalid, MaxIndex)
	}
	if err != nil {
		return nil, err
	}
	x, err := parseIndex(raw)
	if err == nil {
		x.version = info.Version
	}
	return x, err
}

// update changes index.json, and writes it if change says that it did so. It is done
// over where another program was quicker.
func (l *Layout) update(ctx context.Context, change func(*index) (changed bool, err error)) error {
	l.index.Lock()
	defer l.index.Unlock()
	const attempts = 10
	for range attempts {
		x, err := l.readIndex(ctx)
		if err != nil {
			return err
		}
		if changed, err := change(x); !changed || err != nil {
			return err
		}
		raw := x.encode()
		if _, err := parseIndex(raw); err != nil { // it would be too large to be read
			return err
		}
		condition := bucket.Absent
		if x.version != "" {
			condition = bucket.IfVersion(x.version)
		}
		err = l.bucket.Write(ctx, bucket.Change{Key: indexFile, Data: raw, If: condition})
		if !errors.Is(err, bucket.ErrChanged) {
			return err
		}
	}
	return fmt.Errorf("%s: others keep changing it: %w", indexFile, bucket.ErrChanged)
}
