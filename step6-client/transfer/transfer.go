// Package transfer copies images from one place to another: registries, layouts and
// archives, in any direction. There is one walk for all of them: from an index to its
// manifests, from a manifest to its config and layers, and back up, so that nothing
// is named before what it leads to is there.
//
// What is copied from and to are ports that stand here. Repository makes them of a
// client and the name of a repository; layout.Layout, archive.Reader and
// archive.Writer have them by themselves.
//
// Reading order: transfer.go (the ports), copy.go (the walk), blob.go (one blob),
// platform.go, referrers.go, repository.go.
package transfer

import (
	"context"
	"errors"
	"io"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step2-cas/cas"
)

// What the errors of this package are, besides those of the places.
var (
	// ErrTooMuch says that an image leads to more than anybody would look through.
	ErrTooMuch = errors.New("transfer: image is too large or too deep")
	// ErrPlatform says that an image is not for the platform that was asked for.
	ErrPlatform = errors.New("transfer: no image for the platform")
	// ErrDigest says that a place has another manifest than the one it said.
	ErrDigest = errors.New("transfer: manifest is not the one that was found")
)

// Source is what is copied from. A reference is what the place calls an image: a tag
// or digest of a repository, a name in a layout.
type Source interface {
	// Resolve returns what a reference leads to.
	Resolve(ctx context.Context, reference string) (oci.Descriptor, error)
	// Manifest returns the bytes of a manifest, which are what d names.
	Manifest(ctx context.Context, d oci.Descriptor) ([]byte, error)
	// OpenBlob returns the bytes of a blob, which the caller closes. Read from their
	// start to their end they are checked, and do not end well if they are others.
	OpenBlob(ctx context.Context, d oci.Descriptor) (io.ReadSeekCloser, error)
}

// Target is what is copied to.
type Target interface {
	// HasTree tells whether a manifest is there with all that it leads to.
	HasTree(ctx context.Context, d oci.Descriptor) (bool, error)
	// PutBlob stores d, whose bytes open opens from an offset on, more than once if
	// need be; it does not do so if d is there already. digest.ErrMismatch, or
	// ocierr.DigestInvalid, if they are not what d names.
	PutBlob(ctx context.Context, d oci.Descriptor, open func(offset int64) (io.ReadCloser, error)) error
	// PutManifest stores a manifest, and makes name lead to it if that is not "".
	PutManifest(ctx context.Context, d oci.Descriptor, raw []byte, name string) error
}

// Named is a Target that can say what has a name.
type Named interface {
	Resolve(ctx context.Context, reference string) (oci.Descriptor, error)
}

// Referrers is a Source that knows what refers to a manifest.
type Referrers interface {
	Referrers(ctx context.Context, d digest.Digest) ([]oci.Descriptor, error)
}

// Puller is a Source that puts a blob into a store by itself, and can go on where an
// earlier process stopped.
type Puller interface {
	PullBlob(ctx context.Context, d oci.Descriptor, to *cas.Store) error
}

// Unchecked is a Source that can open a blob for somebody who checks it anyway.
type Unchecked interface {
	OpenUnchecked(ctx context.Context, d oci.Descriptor) (io.ReadSeekCloser, error)
}

// Stored is a Target whose blobs are in a store.
type Stored interface{ Blobs() *cas.Store }

// What Options are where they are not set.
const DefaultParallel = 4

// Options say what is copied, and how. The zero value copies all platforms.
type Options struct {
	// Platform selects one image of an index; nil stands for all.
	Platform *oci.Platform
	// Referrers takes along what refers to what is copied: the referrers of the
	// specification, and tags such as sha256-<hex>.sig, which Cosign makes.
	Referrers bool
	// Parallel is how many blobs are under way at once.
	Parallel int
	// Progress, if it is set, is told what happens, from several goroutines.
	Progress func(Event)
}

// Kind is what an Event tells of.
type Kind int

const (
	// Started: the bytes of a blob are going to be copied.
	Started Kind = iota
	// Moved: Done bytes of a blob were read; less than before, where it is read again.
	Moved
	// Copied: a blob or a manifest is there now.
	Copied
	// Present: it was there before, or needed no copying within one registry.
	Present
	// Left: it is a layer whose licence may forbid to pass it on.
	Left
)

// Event is something that happened to a blob or manifest.
type Event struct {
	Kind       Kind
	Descriptor oci.Descriptor
	Done       int64
}
