package archive

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step6-client/layout"
)

// Writer is an archive that is written, in one pass: what comes goes out, and what is
// held in memory are lists. Its methods may be called at once from many goroutines;
// blobs go out one after the other.
type Writer struct {
	platforms []oci.Platform

	mu      sync.Mutex
	out     *tar.Writer
	written map[digest.Digest]bool
	images  map[digest.Digest]*manifest.Manifest
	entries []oci.Descriptor
	failed  error
}

// NewWriter writes to w. Docker's own list knows no indexes: of one it shows the image
// for the first of the platforms that there is.
func NewWriter(w io.Writer, platforms ...oci.Platform) *Writer {
	return &Writer{
		platforms: platforms, out: tar.NewWriter(w),
		written: map[digest.Digest]bool{}, images: map[digest.Digest]*manifest.Manifest{},
	}
}

// HasTree is false: what was written cannot be looked through.
func (w *Writer) HasTree(context.Context, oci.Descriptor) (bool, error) { return false, nil }

// PutBlob writes d. After an error the archive cannot be finished.
func (w *Writer) PutBlob(_ context.Context, d oci.Descriptor, open func(offset int64) (io.ReadCloser, error)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed != nil || w.written[d.Digest] {
		return w.failed
	}
	r, err := open(0)
	if err != nil {
		return err
	}
	defer r.Close()
	return w.blob(d, r)
}

// blob writes what r yields, which must be d.
func (w *Writer) blob(d oci.Descriptor, r io.Reader) error {
	err := w.out.WriteHeader(header(blobPath(d.Digest), d.Size))
	if err == nil {
		check := digest.NewVerifier(d.Digest)
		_, err = io.CopyN(io.MultiWriter(w.out, check), r, d.Size)
		if err == io.EOF {
			err = fmt.Errorf("%w: %s has not %d bytes", digest.ErrMismatch, d.Digest, d.Size)
		}
		if err == nil {
			err = check.Verify()
		}
	}
	if err != nil {
		w.failed = fmt.Errorf("%w: %w", ErrBroken, err)
		return w.failed
	}
	w.written[d.Digest] = true
	return nil
}

// header is the same for the same content, so that archives are.
func header(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, Format: tar.FormatPAX}
}

// PutManifest writes a manifest, and lists it under name if that is not "", else if it
// refers to another by its subject.
func (w *Writer) PutManifest(_ context.Context, d oci.Descriptor, raw []byte, name string) error {
	m, err := manifest.Parse(d.MediaType, raw)
	if err != nil {
		return err
	}
	if name != "" {
		if err := layout.CheckName(name); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed != nil {
		return w.failed
	}
	if !w.written[d.Digest] {
		if err := w.blob(d, strings.NewReader(string(raw))); err != nil {
			return err
		}
	}
	w.images[d.Digest] = m
	d.Annotations, d.Data = nil, nil
	if name != "" {
		d.Annotations = map[string]string{layout.RefName: name, containerdName: name}
	}
	if name != "" || m.Subject != nil {
		w.entries = append(w.entries, d)
	}
	return nil
}

// Close writes the lists and ends the archive; the io.Writer stays open. ErrBroken if
// something is missing in it.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed != nil {
		return w.failed
	}
	images := w.list()
	err := errors.Join(
		w.file(headerFile, map[string]string{"imageLayoutVersion": "1.0.0"}),
		w.file(indexFile, oci.Index{SchemaVersion: oci.SchemaVersion, MediaType: oci.MediaTypeImageIndex, Manifests: w.entries}),
		w.file(manifestFile, images),
		w.file(reposFile, repositories(images)),
		w.out.Close(),
	)
	w.failed = ErrBroken // nothing can be added any more
	return err
}

func (w *Writer) file(name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := w.out.WriteHeader(header(name, int64(len(raw)))); err != nil {
		return err
	}
	_, err = w.out.Write(raw)
	return err
}

// list is what manifest.json has: the images, each with all its names that are full
// references.
func (w *Writer) list() []image {
	images := []image{}
	at := map[digest.Digest]int{}
	for _, e := range w.entries {
		name := e.Annotations[layout.RefName]
		d, ok := w.image(e.Digest)
		if !ok || name == "" {
			continue
		}
		i, known := at[d]
		if !known {
			i = len(images)
			at[d] = i
			images = append(images, w.describe(d))
		}
		// Docker takes no others.
		if parsed, err := ref.ParseReference(name); err == nil && !parsed.Tag.IsZero() && parsed.Digest.IsZero() {
			images[i].RepoTags = append(images[i].RepoTags, name)
		}
	}
	return images
}

func (w *Writer) describe(d digest.Digest) image {
	m := w.images[d]
	i := image{Config: blobPath(m.Blobs[0].Digest), Layers: []string{}}
	for _, layer := range m.Blobs[1:] {
		i.Layers = append(i.Layers, blobPath(layer.Digest))
	}
	return i
}

// image returns the container image that d is, or that an index d has for one of the
// platforms, and whether there is one.
func (w *Writer) image(d digest.Digest) (digest.Digest, bool) {
	m := w.images[d]
	if m == nil {
		return d, false
	}
	if m.Manifests == nil {
		return d, len(m.Blobs) > 0 && oci.IsImageConfig(m.Blobs[0].MediaType) && w.whole(m)
	}
	for _, want := range w.platforms {
		i := slices.IndexFunc(m.Manifests, func(d oci.Descriptor) bool {
			return d.Platform != nil && d.Platform.OS == want.OS && d.Platform.Architecture == want.Architecture
		})
		if i >= 0 && oci.IsManifest(m.Manifests[i].MediaType) {
			return w.image(m.Manifests[i].Digest)
		}
	}
	return d, false
}

// whole tells whether all that an image leads to was written.
func (w *Writer) whole(m *manifest.Manifest) bool {
	return !slices.ContainsFunc(m.Blobs, func(d oci.Descriptor) bool { return !w.written[d.Digest] })
}

// repositories is the oldest of the lists: for each repository and tag the top layer.
func repositories(images []image) map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, i := range images {
		for _, name := range i.RepoTags {
			if len(i.Layers) == 0 {
				continue
			}
			colon, top := strings.LastIndexByte(name, ':'), i.Layers[len(i.Layers)-1]
			repository := name[:colon]
			if all[repository] == nil {
				all[repository] = map[string]string{}
			}
			all[repository][name[colon+1:]] = top[strings.LastIndexByte(top, '/')+1:]
		}
	}
	return all
}
