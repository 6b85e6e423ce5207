package layout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step5-manifest/manifest"
)

const (
	// maxDepth is how deep indexes may be nested.
	maxDepth = 16
	// maxNodes is how many manifests and blobs one walk goes to.
	maxNodes = 1_000_000
)

// Pruned is what Prune removed.
type Pruned struct {
	Blobs int
	Bytes int64
}

// Prune removes the blobs that no entry of index.json leads to and that are not newer
// than before. Entries without a name are kept, as other programs make them, unless
// they refer by their subject to what is not there any more.
//
// A manifest that cannot be read stops it, as nobody knows what that leads to.
// Nothing may be copied into the layout meanwhile; before is for other programs,
// which do not ask.
func (l *Layout) Prune(ctx context.Context, before time.Time) (Pruned, error) {
	keep, err := l.mark(ctx)
	if err != nil {
		return Pruned{}, err
	}
	err = l.update(ctx, func(x *index) (bool, error) {
		had := len(x.entries)
		x.entries = slices.DeleteFunc(x.entries, func(e entry) bool {
			_, marked := keep[e.Descriptor.Digest]
			return e.read && !marked && e.Name == "" && e.Descriptor.Annotations[RefName] == ""
		})
		return len(x.entries) < had, nil
	})
	if err != nil {
		return Pruned{}, err
	}
	return l.sweep(ctx, keep, before)
}

// mark returns what is to be kept.
func (l *Layout) mark(ctx context.Context) (map[digest.Digest]bool, error) {
	x, err := l.readIndex(ctx)
	if err != nil {
		return nil, err
	}
	w := &walker{layout: l, lenient: true, blob: func(oci.Descriptor) error { return nil }}
	waiting := map[digest.Digest][]oci.Descriptor{} // by their subjects
	for _, e := range x.entries {
		if !e.read {
			return nil, fmt.Errorf("%w: an entry leads nobody knows where", ErrInvalid)
		}
		if e.Descriptor.Annotations[RefName] == "" {
			if m, err := l.parsed(ctx, e.Descriptor); err == nil && m.Subject != nil {
				waiting[m.Subject.Digest] = append(waiting[m.Subject.Digest], e.Descriptor)
				continue
			}
		}
		if err := w.manifest(ctx, e.Descriptor, 0); err != nil {
			return nil, err
		}
	}
	for found := true; found; {
		found = false
		for subject, referrers := range waiting {
			if !w.seen[subject] {
				continue
			}
			delete(waiting, subject)
			found = true
			for _, d := range referrers {
				if err := w.manifest(ctx, d, 0); err != nil {
					return nil, err
				}
			}
		}
	}
	return w.seen, nil
}

// sweep removes what is not to be kept.
func (l *Layout) sweep(ctx context.Context, keep map[digest.Digest]bool, before time.Time) (p Pruned, err error) {
	for d, err := range l.blobs.All(ctx) {
		if err != nil {
			return p, err
		}
		if keep[d] {
			continue
		}
		info, err := l.blobs.Stat(ctx, d)
		if errors.Is(err, bucket.ErrNotExist) || err == nil && info.ModTime.After(before) {
			continue
		}
		if err == nil {
			err = l.blobs.Delete(ctx, d)
		}
		if err != nil {
			return p, err
		}
		p.Blobs++
		p.Bytes += info.Size
	}
	return p, nil
}

// walker goes to all that manifests lead to.
type walker struct {
	layout *Layout
	// blob is called for what is not a manifest, once for each.
	blob func(oci.Descriptor) error
	// lenient is for those who must not miss anything: it passes over manifests that
	// are not there, and looks whether what has another type is one.
	lenient bool
	// seen has all that was come to, walked those whose children were.
	seen, walked map[digest.Digest]bool
}

// manifest goes to a manifest and what it leads to. What has another type is a blob:
// an index may list any content.
func (w *walker) manifest(ctx context.Context, d oci.Descriptor, depth int) error {
	switch {
	case w.walked[d.Digest]:
		return nil
	case len(w.seen) >= maxNodes, depth == maxDepth:
		return fmt.Errorf("%w: it leads to too much, or too deep", manifest.ErrInvalid)
	case !IsManifest(d.MediaType) && !w.lenient:
		return w.leaf(d)
	}
	said := d
	if !IsManifest(d.MediaType) {
		said.MediaType = "" // what it is shows by its fields
	}
	m, err := w.layout.parsed(ctx, said)
	switch {
	case err == nil:
	case !IsManifest(d.MediaType), w.lenient && errors.Is(err, ErrUnknown):
		return w.leaf(d)
	default:
		return fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	w.note(&w.seen, d)
	w.note(&w.walked, d)
	for _, child := range m.Blobs {
		if err := w.leaf(child); err != nil {
			return err
		}
	}
	for _, child := range m.Manifests {
		if err := w.manifest(ctx, child, depth+1); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// leaf goes to what leads nowhere.
func (w *walker) leaf(d oci.Descriptor) error {
	if w.seen[d.Digest] {
		return nil
	}
	w.note(&w.seen, d)
	return w.blob(d)
}

func (w *walker) note(set *map[digest.Digest]bool, d oci.Descriptor) {
	if *set == nil {
		*set = map[digest.Digest]bool{}
	}
	(*set)[d.Digest] = true
}

// IsManifest tells whether a type is that of a document with descriptors.
func IsManifest(mediaType string) bool {
	return oci.IsManifest(mediaType) || oci.IsIndex(mediaType) || mediaType == oci.MediaTypeArtifactManifest
}
