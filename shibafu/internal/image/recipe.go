package image

import (
	"encoding/json"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
)

// Layer is one that has a name.
type Layer struct {
	Name string
	// Descriptor is that of its bytes, and DiffID the digest of the tar in them.
	Descriptor oci.Descriptor
	DiffID     digest.Digest
	// Created is zero where nobody says when.
	Created time.Time
}

// Recipe is what an image is put together from.
type Recipe struct {
	// Layers are from the lowest to the topmost.
	Layers   []Layer
	Platform oci.Platform
	Config   oci.ContainerConfig
	// Created is when; zero for the time of the newest layer, if any has one.
	Created time.Time
}

// Document is a document and its descriptor.
type Document struct {
	Descriptor oci.Descriptor
	Raw        []byte
}

// Documents returns the config and the manifest. The same recipe gives the same bytes.
func (r Recipe) Documents() (config, manifest Document, err error) {
	c := oci.ImageConfig{Created: r.Created, Platform: r.Platform, Config: r.Config, RootFS: oci.RootFS{Type: oci.RootFSTypeLayers}}
	m := oci.Manifest{SchemaVersion: oci.SchemaVersion, MediaType: oci.MediaTypeImageManifest}
	for _, l := range r.Layers {
		if r.Created.IsZero() && l.Created.After(c.Created) {
			c.Created = l.Created
		}
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.DiffID)
		c.History = append(c.History, oci.History{Created: l.Created, CreatedBy: "shibafu layer " + l.Name})
		m.Layers = append(m.Layers, l.Descriptor)
	}
	if config, err = document(oci.MediaTypeImageConfig, c); err != nil {
		return config, manifest, err
	}
	m.Config = config.Descriptor
	manifest, err = document(m.MediaType, m)
	return config, manifest, err
}

func document(mediaType string, v any) (Document, error) {
	raw, err := json.Marshal(v)
	return Document{oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}, raw}, err
}
