// Package archive reads and writes images in one file: what "docker save" makes and
// "docker load" takes. A manifest.json in it says which files are config and layers;
// since version 25 the same file is an OCI image layout too, with index.json and
// blobs/. Both are read, and both are written, so that any of those programs, and
// skopeo's docker-archive: and oci-archive:, can read it.
//
// A Reader is a transfer.Source, a Writer a transfer.Target.
//
// Reading order: archive.go, scan.go (what a tar holds), read.go, legacy.go (images
// that are no layout), spool.go, write.go.
package archive

import (
	"errors"

	"shibafu.dev/step1-spec-notes/digest"
)

// What the errors of this package are, besides those of package layout.
var (
	// ErrInvalid says that a file is no archive of images, or is one that nobody who
	// meant well has written.
	ErrInvalid = errors.New("archive: not an archive of images")
	// ErrBroken says that an archive could not be finished.
	ErrBroken = errors.New("archive: incomplete")
)

// containerdName is the annotation by which docker and containerd name an image in an
// index.json: in full, while layout.RefName has only the tag there.
const containerdName = "io.containerd.image.name"

const (
	headerFile   = "oci-layout"
	indexFile    = "index.json"
	manifestFile = "manifest.json"
	reposFile    = "repositories"
	// maxFile is how large one of these may be, in bytes.
	maxFile = 16 << 20
)

// image is an entry of manifest.json.
type image struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// blobPath is where the bytes of d are in a layout.
func blobPath(d digest.Digest) string { return "blobs/" + string(d.Algorithm()) + "/" + d.Hex() }
