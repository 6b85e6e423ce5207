package cli

import (
	"encoding/json"
	"flag"
	"io"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"

	"shibafu.dev/shibafu/internal/image"
)

// What --json prints. The shapes are in docs/client.md: fields are added, and never
// taken away or given another meaning.

func jsonFlag(fs *flag.FlagSet) *bool {
	return fs.Bool("json", false, "print JSON, for programs")
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// blobJSON is a layer, an image, or what refers to one.
type blobJSON struct {
	Name         string        `json:"name,omitempty"`
	Platform     string        `json:"platform,omitempty"`
	Digest       digest.Digest `json:"digest"`
	DiffID       digest.Digest `json:"diffId,omitzero"`
	MediaType    string        `json:"mediaType"`
	ArtifactType string        `json:"artifactType,omitempty"`
	Size         int64         `json:"size"`
	Created      time.Time     `json:"created,omitzero"`
}

func blobOf(d oci.Descriptor) blobJSON {
	b := blobJSON{Digest: d.Digest, MediaType: d.MediaType, ArtifactType: d.ArtifactType, Size: d.Size}
	if d.Platform != nil {
		b.Platform = d.Platform.String()
	}
	return b
}

func blobsOf(list []oci.Descriptor) []blobJSON {
	all := []blobJSON{}
	for _, d := range list {
		all = append(all, blobOf(d))
	}
	return all
}

func layersJSON(list []image.Layer) []blobJSON {
	all := []blobJSON{}
	for _, l := range list {
		b := blobOf(l.Descriptor)
		b.Name, b.DiffID, b.Created = l.Name, l.DiffID, l.Created
		all = append(all, b)
	}
	return all
}
