// Package place is where images are, as people write it: a reference or
// "docker://REFERENCE" for a registry, "oci:FOLDER[:NAME]" for an image layout,
// "docker-archive:FILE[:NAME]" and "oci-archive:FILE[:NAME]" for a file that holds
// images, which is "-" for stdin and stdout.
//
// Reading order: place.go, registry.go, source.go, target.go.
package place

import (
	"errors"
	"io"
	"path/filepath"
	"strings"

	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/journal"
)

// ErrPlace says that a text, with the options beside it, does not lead to one image.
var ErrPlace = errors.New("wrong usage")

// Places opens what is written.
type Places struct {
	// Access is how registries are reached.
	Access Access
	// In and Out are what "-" stands for.
	In  io.Reader
	Out io.Writer
	// Waiting, if it is set, is told once that another process has a layout.
	Waiting func(error)
}

// Complete adds what a reference leaves out, as all programs do: the host is Docker
// Hub's, whose own images are under library/, and the tag is latest. "docker://" may
// stand before it. ref.ErrReference.
func Complete(text string) (ref.Reference, error) {
	r, err := CompleteRepository(text)
	if _, ok := r.TagOrDigest(); err == nil && !ok {
		r.Tag = ref.MustTag("latest")
	}
	return r, err
}

// CompleteRepository is Complete without a tag for what has none.
func CompleteRepository(text string) (ref.Reference, error) {
	r, err := ref.ParseReference(strings.TrimPrefix(text, "docker://"))
	if err != nil {
		return r, err
	}
	if r.Host == "" || r.Host == "index.docker.io" {
		r.Host = "docker.io"
	}
	if r.Host == "docker.io" && !strings.Contains(r.Name.String(), "/") {
		r.Name, err = ref.ParseName("library/" + r.Name.String())
	}
	return r, err
}

// DefaultStore is the folder of the local store, which is an image layout:
// $XDG_DATA_HOME/shibafu/images, or what stands for it where that is not set.
func DefaultStore() (string, error) {
	kept, err := journal.DefaultFolder()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(kept), "images"), nil
}

// kind is what stands before the first colon of a place.
type kind string

const (
	inRegistry kind = ""
	inLayout   kind = "oci"
	inArchive  kind = "docker-archive" // oci-archive is the same file
)

// split takes a place apart. path and name are "" for one in a registry.
func split(text string) (k kind, path, name string) {
	for prefix, k := range map[string]kind{"oci:": inLayout, "docker-archive:": inArchive, "oci-archive:": inArchive} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			path, name, _ = strings.Cut(rest, ":")
			return k, path, name
		}
	}
	return inRegistry, "", ""
}

// IsRegistry tells whether a text is a reference rather than a folder or a file.
func IsRegistry(text string) bool {
	k, _, _ := split(text)
	return k == inRegistry
}
