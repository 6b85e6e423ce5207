package main

import (
	"encoding/json"
	"iter"
	"math/rand/v2"

	"shibafu.dev/step1-spec-notes/digest"
)

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// image is a manifest and its blobs, in one repository.
type image struct {
	repo   string
	digest string
	raw    []byte
	blobs  []blob
	// subject is the digest of the manifest that it refers to, "" for none.
	subject string
	// pinned says that others have seen it by a tag that is not its pusher's.
	pinned bool
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	ArtifactType  string       `json:"artifactType,omitempty"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
	Subject       *descriptor  `json:"subject,omitempty"`
}

// newImage makes an image of two to four blobs, a third of them shared. One in
// five has another image as its subject.
func newImage(rng *rand.Rand, l *load, others []*image) *image {
	img := &image{repo: repos[rng.IntN(len(repos))]}
	m := manifest{SchemaVersion: 2, MediaType: manifestType, Layers: []descriptor{}}
	for i := range 2 + rng.IntN(3) {
		b := randomBlob(rng)
		if i > 0 && rng.IntN(2) == 0 {
			b = l.deal(rng)
		}
		img.blobs = append(img.blobs, b)
		d := descriptor{"application/vnd.oci.image.layer.v1.tar", b.digest, len(b.data)}
		if i == 0 {
			d.MediaType = "application/vnd.oci.image.config.v1+json"
			m.Config = d
			continue
		}
		m.Layers = append(m.Layers, d)
	}
	img.encode(m)
	if len(others) > 0 && rng.IntN(5) == 0 {
		img.refer(others[rng.IntN(len(others))])
	}
	return img
}

// refer makes other the subject of the image, in its repository.
func (i *image) refer(other *image) {
	var m manifest
	json.Unmarshal(i.raw, &m)
	i.repo, i.subject = other.repo, other.digest
	m.ArtifactType = "application/vnd.example.crash"
	m.Subject = &descriptor{manifestType, other.digest, len(other.raw)}
	i.encode(m)
}

func (i *image) encode(m manifest) {
	i.raw, _ = json.Marshal(m)
	i.digest = digest.FromBytes(i.raw).String()
}

func (i *image) thing() thing { return thing{"manifest", i.repo, i.digest} }

func (i *image) tag(name string) thing { return thing{"tag", i.repo, name} }

// things yields the manifest and its blobs.
func (i *image) things() iter.Seq[thing] {
	return func(yield func(thing) bool) {
		if !yield(i.thing()) {
			return
		}
		for _, b := range i.blobs {
			if !yield(blobOf(i.repo, b)) {
				return
			}
		}
	}
}
