package layout

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step5-manifest/manifest"
)

// maxName is how long a name may be, in bytes: a host, a repository, a tag and a
// digest.
const maxName = 1024

// CheckName returns ErrName unless name can be that of an image: parts of letters,
// digits and -._:@+, joined by slashes, none of them . or .. or empty. Full references
// such as "localhost:5000/myapp:latest" are names.
//
// A name never becomes a path here, but others may make one of it, or print it.
func CheckName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("%w: empty, or longer than %d bytes", ErrName, maxName)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("%w: a part is empty or made of dots", ErrName)
		}
		for i := range len(part) {
			c := part[i]
			alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
			if !alnum && (strings.IndexByte("-._:@+[]", c) < 0 || i == 0 && c == '-') {
				return fmt.Errorf("%w: want letters, digits and -._:@+", ErrName)
			}
		}
	}
	return nil
}

// Entries returns what index.json lists, in its order.
func (l *Layout) Entries(ctx context.Context) ([]Entry, error) {
	x, err := l.readIndex(ctx)
	if err != nil {
		return nil, err
	}
	return x.all(), nil
}

// Resolve returns what a name, or a digest, leads to. With "" it is the only image
// that there is. ErrUnknown, ErrAmbiguous. Its descriptor is without the annotations
// that belong to the entry.
func (l *Layout) Resolve(ctx context.Context, reference string) (oci.Descriptor, error) {
	entries, err := l.Entries(ctx)
	if err != nil {
		return oci.Descriptor{}, err
	}
	d, err := Find(entries, reference)
	if d.Digest.IsZero() && err == nil {
		sum, _ := digest.Parse(reference)
		d, err = l.resolveDigest(ctx, sum)
	}
	if err != nil {
		return oci.Descriptor{}, fmt.Errorf("%w: %q", err, reference)
	}
	return d, nil
}

// Find is Resolve among entries. For a digest that none of them has it returns the
// zero Descriptor: the content may be there all the same.
func Find(entries []Entry, reference string) (found oci.Descriptor, err error) {
	sum, notDigest := digest.Parse(reference)
	for _, e := range entries {
		match := reference == "" || e.Name == reference || notDigest == nil && e.Descriptor.Digest == sum
		switch {
		case !match || e.Descriptor.Digest == found.Digest:
		case !found.Digest.IsZero():
			return oci.Descriptor{}, ErrAmbiguous
		default:
			found = e.Descriptor
		}
	}
	if found.Digest.IsZero() && notDigest != nil {
		return found, ErrUnknown
	}
	found.Annotations = nil
	return found, nil
}

// resolveDigest describes a manifest that is there without an entry of its own, such
// as one of an index.
func (l *Layout) resolveDigest(ctx context.Context, d digest.Digest) (oci.Descriptor, error) {
	info, err := l.blobs.Stat(ctx, d)
	if err != nil {
		return oci.Descriptor{}, ErrUnknown
	}
	desc := oci.Descriptor{Digest: d, Size: info.Size}
	raw, err := l.Manifest(ctx, desc)
	if err != nil {
		return oci.Descriptor{}, err
	}
	desc.MediaType = manifest.MediaType(raw)
	return desc, nil
}

// SetName makes name lead to d, and to nothing else. What it led to before stays
// until it is pruned.
func (l *Layout) SetName(ctx context.Context, name string, d oci.Descriptor) error {
	if err := CheckName(name); err != nil {
		return err
	}
	return l.update(ctx, func(x *index) (bool, error) {
		if current, err := Find(x.all(), name); err == nil && current.Digest == d.Digest {
			return false, nil
		}
		x.entries = slices.DeleteFunc(x.entries, func(e entry) bool { return e.Name == name })
		return true, x.add(d, name)
	})
}

// add appends an entry for d, without a name if that is "".
func (x *index) add(d oci.Descriptor, name string) error {
	d.Annotations, d.Data = nil, nil
	if name != "" {
		d.Annotations = map[string]string{RefName: name}
	}
	raw, err := json.Marshal(d)
	x.entries = append(x.entries, parseEntry(raw))
	return err
}

// list makes an entry without a name for d, unless it has any.
func (l *Layout) list(ctx context.Context, d oci.Descriptor) error {
	return l.update(ctx, func(x *index) (bool, error) {
		if slices.ContainsFunc(x.entries, func(e entry) bool { return e.Descriptor.Digest == d.Digest }) {
			return false, nil
		}
		return true, x.add(d, "")
	})
}

// Remove takes a name away. ErrUnknown if nothing has it. The content stays until it
// is pruned.
func (l *Layout) Remove(ctx context.Context, name string) error {
	return l.update(ctx, func(x *index) (bool, error) {
		before := len(x.entries)
		x.entries = slices.DeleteFunc(x.entries, func(e entry) bool { return name != "" && e.Name == name })
		if len(x.entries) == before {
			return false, fmt.Errorf("%w: %q", ErrUnknown, name)
		}
		return true, nil
	})
}
