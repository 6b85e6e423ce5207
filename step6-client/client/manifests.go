package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step6-client/wire"
)

// accepted are the types of documents that we can read; a registry that converts
// what it has goes by it.
var accepted = []string{
	oci.MediaTypeImageIndex, oci.MediaTypeImageManifest, oci.MediaTypeDockerManifestList, oci.MediaTypeDockerManifest,
	oci.MediaTypeArtifactManifest, "*/*;q=0.1",
}

func (c *Client) manifestRequest(name ref.Name, reference ref.TagOrDigest) *wire.Request {
	r := c.request(endpoint.PullManifest, endpoint.Path{Name: name, Reference: reference}, nil)
	r.Header["Accept"] = []string{strings.Join(accepted, ", ")}
	return r
}

// Manifest returns what a tag or digest refers to: its media type, digest and size,
// and its exact bytes, which are what the digest names. ocierr.ManifestUnknown,
// ocierr.NameUnknown, digest.ErrMismatch; manifest.ErrInvalid for a document that two
// readers could understand in two ways. It is a method of pullhttp.Manifests.
func (c *Client) Manifest(ctx context.Context, name ref.Name, reference ref.TagOrDigest) (oci.Descriptor, []byte, error) {
	resp, err := c.do(ctx, endpoint.PullManifest, c.manifestRequest(name, reference))
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	defer resp.Body.Close()
	raw, err := readBounded(resp, manifest.MaxSize)
	if err != nil {
		return oci.Descriptor{}, nil, fmt.Errorf("manifest %s: %w", reference, err)
	}
	d, err := expected(reference, resp.Header)
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	if d.IsZero() {
		d = digest.FromBytes(raw)
	}
	if got := d.Algorithm().FromBytes(raw); got != d {
		return oci.Descriptor{}, nil, fmt.Errorf("manifest %s: %w: got %s, want %s", reference, digest.ErrMismatch, got, d)
	}
	m, err := manifest.Parse(contentType(resp.Header), raw)
	if err != nil {
		return oci.Descriptor{}, nil, fmt.Errorf("manifest %s: %w", reference, err)
	}
	return oci.Descriptor{MediaType: m.MediaType, Digest: d, Size: int64(len(raw))}, raw, nil
}

// expected is the digest that an answer's content must have: the one that was
// asked for, else the one that the registry says. They must not contradict each
// other.
func expected(reference ref.TagOrDigest, h http.Header) (digest.Digest, error) {
	asked, ok := reference.Digest()
	if !ok {
		return contentDigest(h)
	}
	return asked, agrees(h, asked)
}

// contentType is that of an answer, "" where it says no more than that there are
// bytes.
func contentType(h http.Header) string {
	mediaType, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	switch mediaType = strings.ToLower(strings.TrimSpace(mediaType)); mediaType {
	case "application/json", "application/octet-stream", "text/plain":
		return ""
	}
	return mediaType
}

// Resolve is Manifest without the bytes, for those who ask where a tag points. Its
// size and type are what the registry says.
func (c *Client) Resolve(ctx context.Context, name ref.Name, reference ref.TagOrDigest) (oci.Descriptor, error) {
	r := c.manifestRequest(name, reference)
	r.Method = http.MethodHead
	resp, err := c.do(ctx, endpoint.PullManifest, r)
	if err == nil {
		wire.Discard(resp)
		d, err := expected(reference, resp.Header)
		mediaType := contentType(resp.Header)
		if err != nil || !d.IsZero() && oci.IsMediaType(mediaType) && resp.ContentLength >= 0 {
			return oci.Descriptor{MediaType: mediaType, Digest: d, Size: resp.ContentLength}, err
		}
	} else if !errors.As(err, new(*refused)) {
		return oci.Descriptor{}, err
	}
	// An answer to HEAD has no body that would say what is wrong, and some registries
	// leave out what is asked here.
	desc, _, err := c.Manifest(ctx, name, reference)
	return desc, err
}

// DeleteManifest removes a manifest with all tags that refer to it. If it has a subject
// and the registry no API for referrers, it goes from the list under the tag that
// stands for that: before itself, as registries take no list of what is not there.
// ocierr.ManifestUnknown, ocierr.NameUnknown.
func (c *Client) DeleteManifest(ctx context.Context, name ref.Name, d digest.Digest) error {
	m, size := c.parsed(ctx, name, d)
	listed := false
	if m != nil && m.Subject != nil {
		var err error
		if listed, err = c.dropReferrer(ctx, name, m.Subject.Digest, d); err != nil {
			return err
		}
	}
	err := c.delete(ctx, endpoint.DeleteManifest, endpoint.Path{Name: name, Reference: ref.ByDigest(d)})
	if listed && errors.As(err, new(*refused)) && !errors.Is(err, ocierr.ManifestUnknown) {
		return errors.Join(err, c.addReferrer(ctx, name, m.Subject.Digest, m.Referrer(d, size))) // it is there yet
	}
	return err
}

// parsed is a manifest and its size; nil if it cannot be read: it may be deleted for
// that.
func (c *Client) parsed(ctx context.Context, name ref.Name, d digest.Digest) (*manifest.Manifest, int64) {
	desc, raw, err := c.Manifest(ctx, name, ref.ByDigest(d))
	if err != nil {
		return nil, 0
	}
	m, err := manifest.Parse(desc.MediaType, raw)
	if err != nil {
		return nil, 0
	}
	return m, desc.Size
}

// DeleteTag removes a tag. Errors are as for DeleteManifest.
func (c *Client) DeleteTag(ctx context.Context, name ref.Name, tag ref.Tag) error {
	return c.delete(ctx, endpoint.DeleteManifest, endpoint.Path{Name: name, Reference: ref.ByTag(tag)})
}

// DeleteBlob takes a blob out of a repository. ocierr.BlobUnknown,
// ocierr.NameUnknown.
func (c *Client) DeleteBlob(ctx context.Context, name ref.Name, d digest.Digest) error {
	return c.delete(ctx, endpoint.DeleteBlob, endpoint.Path{Name: name, Digest: d})
}

// delete takes a 404 for success where an earlier attempt may have been the one that
// deleted, and only its answer was lost.
func (c *Client) delete(ctx context.Context, e *endpoint.Endpoint, p endpoint.Path) error {
	r := c.request(e, p, nil)
	resp, err := c.do(ctx, e, r)
	wire.Discard(resp)
	var no *refused
	if r.Attempts > 1 && errors.As(err, &no) && no.reason.Status == http.StatusNotFound && no.reason.Code != ocierr.NameUnknown {
		return nil
	}
	return err
}
