package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step6-client/layout"
)

// Reader is an archive that is read. Its methods may be called at once from many
// goroutines.
type Reader struct {
	files   *files
	entries []layout.Entry
	// blobs says where the bytes of a digest are.
	blobs map[digest.Digest]part
	// made are the manifests that stand for images which have none.
	made map[digest.Digest][]byte
}

// NewReader reads what an archive of size bytes holds: its headers and lists; of an
// old archive also the layers that are compressed, as nothing says their digest.
// ErrInvalid, layout.ErrInvalid.
func NewReader(at io.ReaderAt, size int64) (*Reader, error) {
	f, err := scan(at, size)
	if err != nil {
		return nil, err
	}
	r := &Reader{files: f, blobs: map[digest.Digest]part{}, made: map[digest.Digest][]byte{}}
	if f.has(indexFile) && f.has(headerFile) {
		return r, r.readLayout()
	}
	return r, r.readImages()
}

// readLayout reads an archive that is a layout.
func (r *Reader) readLayout() error {
	var header struct {
		Version string `json:"imageLayoutVersion"`
	}
	raw, err := r.files.read(headerFile, maxFile)
	if err != nil {
		return err
	}
	if json.Unmarshal(raw, &header) != nil || header.Version != "1.0.0" {
		return layout.ErrNotLayout
	}
	if raw, err = r.files.read(indexFile, layout.MaxIndex); err != nil {
		return err
	}
	if r.entries, err = layout.ParseIndex(raw); err != nil {
		return err
	}
	for i, e := range r.entries {
		if full := e.Descriptor.Annotations[containerdName]; layout.CheckName(full) == nil {
			r.entries[i].Name = full
		}
	}
	for name := range r.files.parts {
		sum, ok := strings.CutPrefix(name, "blobs/")
		if !ok {
			continue
		}
		d, err := digest.Parse(strings.Replace(sum, "/", ":", 1))
		if err != nil {
			continue
		}
		p, err := r.files.find(name)
		switch {
		case err == nil:
			r.blobs[d] = p
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}

// Entries returns what the archive lists.
func (r *Reader) Entries() []layout.Entry { return r.entries }

// Resolve returns what a name or digest leads to; "" stands for the only image. A
// name is found in its short form too: "alpine:3" is docker.io/library/alpine:3.
// layout.ErrUnknown, layout.ErrAmbiguous.
func (r *Reader) Resolve(_ context.Context, reference string) (oci.Descriptor, error) {
	d, err := layout.Find(r.entries, reference)
	if errors.Is(err, layout.ErrUnknown) {
		entries := make([]layout.Entry, len(r.entries))
		for i, e := range r.entries {
			entries[i] = layout.Entry{Name: fullName(e.Name), Descriptor: e.Descriptor}
		}
		d, err = layout.Find(entries, fullName(reference))
	}
	if err == nil && d.Digest.IsZero() {
		err = layout.ErrUnknown
	}
	if err != nil {
		return oci.Descriptor{}, fmt.Errorf("%w: %q", err, reference)
	}
	return d, nil
}

// fullName is a reference with all that docker leaves out of it.
func fullName(name string) string {
	parsed, err := ref.ParseReference(name)
	if err != nil {
		return name
	}
	if parsed.Host == "" {
		parsed.Host = "docker.io"
	}
	if parsed.Host == "docker.io" && !strings.Contains(parsed.Name.String(), "/") {
		parsed.Name = ref.MustName("library/" + parsed.Name.String())
	}
	return parsed.String()
}

// Manifest returns the bytes of a manifest. layout.ErrUnknown, digest.ErrMismatch.
func (r *Reader) Manifest(ctx context.Context, d oci.Descriptor) ([]byte, error) {
	if raw, ok := r.made[d.Digest]; ok {
		return raw, nil
	}
	if d.Size > manifest.MaxSize {
		return nil, fmt.Errorf("%w: manifest of %d bytes", manifest.ErrInvalid, d.Size)
	}
	blob, err := r.OpenBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(blob)
}

// Referrers returns the manifests that the archive lists and whose subject is d.
func (r *Reader) Referrers(ctx context.Context, d digest.Digest) ([]oci.Descriptor, error) {
	return layout.FindReferrers(ctx, r.entries, d, r.Manifest)
}

// OpenBlob returns the bytes of d. Read from their start to their end they are
// checked. layout.ErrUnknown, digest.ErrMismatch.
func (r *Reader) OpenBlob(ctx context.Context, d oci.Descriptor) (io.ReadSeekCloser, error) {
	blob, err := r.OpenUnchecked(ctx, d)
	if err != nil {
		return nil, err
	}
	return layout.Verified(blob, d), nil
}

// OpenUnchecked is OpenBlob for those who hash the bytes anyway.
func (r *Reader) OpenUnchecked(_ context.Context, d oci.Descriptor) (io.ReadSeekCloser, error) {
	p, ok := r.blobs[d.Digest]
	if !ok {
		return nil, fmt.Errorf("%w: %s", layout.ErrUnknown, d.Digest)
	}
	if p.size != d.Size {
		return nil, fmt.Errorf("%w: %s has %d bytes, not %d", digest.ErrMismatch, d.Digest, p.size, d.Size)
	}
	return r.files.section(p), nil
}
