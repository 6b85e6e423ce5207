// Package layout is the OCI image layout: a folder that holds images as a registry
// does, by digest, with one file, index.json, that says what they are called. Other
// programs read and write such folders too (skopeo's "oci:"), so what stands in one
// need not have been written here: what is read is checked, and what is not
// understood is kept as it is.
//
// The bytes are in a cas.Store, so they are held against their digest when they come
// in, and a layout is written over a bucket.Bucket as all else is. What a bucket in a
// folder keeps for itself under uploads/ lies beside what the specification names,
// which allows that.
//
// Reading order: layout.go, folder.go (a layout on the disk), index.go (the file),
// names.go, blobs.go, verify.go, prune.go.
//
// Source: OCI image specification, image-layout.md.
package layout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/cas"
)

// What the errors of this package are, besides those of the bucket and
// digest.ErrMismatch.
var (
	// ErrNotLayout says that there is no image layout.
	ErrNotLayout = errors.New("layout: not an OCI image layout")
	// ErrInvalid says that index.json is not what the specification has.
	ErrInvalid = errors.New("layout: invalid index.json")
	// ErrUnknown says that nothing has a name, or that a digest is not there.
	ErrUnknown = errors.New("layout: no such image")
	// ErrAmbiguous says that a name does not lead to one image.
	ErrAmbiguous = errors.New("layout: more than one image")
	// ErrName says that a text cannot be the name of an image.
	ErrName = errors.New("layout: invalid name")
)

const (
	headerFile = "oci-layout"
	indexFile  = "index.json"
	// version is the one that there is; the specification asks readers to look.
	version = "1.0.0"
	// maxHeader is how large the first of these files may be, in bytes.
	maxHeader = 4 << 10
)

type header struct {
	Version string `json:"imageLayoutVersion"`
}

// Layout is an image layout. Its methods may be called at once from many goroutines.
type Layout struct {
	bucket bucket.Bucket
	blobs  *cas.Store
	index  sync.Mutex // held over a change of index.json
}

// Open is the layout in b. ErrNotLayout if there is none, or one of a version to
// come.
func Open(ctx context.Context, b bucket.Bucket) (*Layout, error) {
	raw, _, err := bucket.ReadAll(ctx, b, headerFile, maxHeader)
	if errors.Is(err, bucket.ErrNotExist) {
		return nil, ErrNotLayout
	}
	if err != nil {
		return nil, err
	}
	var h header
	if err := json.Unmarshal(raw, &h); err != nil || h.Version != version {
		return nil, fmt.Errorf("%w: %s does not say version %s", ErrNotLayout, headerFile, version)
	}
	return &Layout{bucket: b, blobs: cas.New(b, cas.OCI)}, nil
}

// Create is Open, but makes a layout if b has none.
func Create(ctx context.Context, b bucket.Bucket) (*Layout, error) {
	l, err := Open(ctx, b)
	if err != ErrNotLayout {
		return l, err
	}
	raw, err := json.Marshal(header{version})
	if err != nil {
		return nil, err
	}
	changes := []bucket.Change{{Key: headerFile, Data: raw, Last: true}}
	// Whoever died over creating it, or a program that begins with this file, may
	// have left one.
	if _, err := b.Stat(ctx, indexFile); errors.Is(err, bucket.ErrNotExist) {
		changes = append(changes, bucket.Change{Key: indexFile, Data: newIndex().encode(), If: bucket.Absent})
	}
	if err := b.Write(ctx, changes...); err != nil {
		return nil, err
	}
	return Open(ctx, b)
}

// Blobs is where the layout has its bytes.
func (l *Layout) Blobs() *cas.Store { return l.blobs }
