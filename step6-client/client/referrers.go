package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step6-client/wire"
)

// maxReferrers is how many referrers of one manifest are taken in.
const maxReferrers = 100_000

// Referrers returns the referrers of the manifest d that come after the digest after,
// in order of their digests: those of artifactType if that is not "", up to n of
// them, and no more than take maxBytes as JSON, and whether there are more. A
// registry without this API has them in an index under a tag. It is a method of
// repohttp.Referrers.
//
// The specification has no parameter by which to go on after a digest, so the whole
// list is read each time.
//
// Source: OCI distribution specification, "Listing Referrers".
func (c *Client) Referrers(ctx context.Context, name ref.Name, d digest.Digest, artifactType string, after digest.Digest, n, maxBytes int) (found []oci.Descriptor, more bool, err error) {
	all, err := c.allReferrers(ctx, name, d, artifactType)
	if err != nil {
		return nil, false, err
	}
	slices.SortFunc(all, func(a, b oci.Descriptor) int { return strings.Compare(a.Digest.String(), b.Digest.String()) })
	size := 0
	for i, desc := range all {
		if desc.Digest.String() <= after.String() || i > 0 && desc.Digest == all[i-1].Digest {
			continue
		}
		raw, err := json.Marshal(desc)
		if err != nil {
			return nil, false, err
		}
		if size += len(raw) + 1; len(found) == n || size > maxBytes {
			return found, true, nil
		}
		found = append(found, desc)
	}
	return found, false, nil
}

// allReferrers are those of one type, or of all, in the registry's order.
func (c *Client) allReferrers(ctx context.Context, name ref.Name, d digest.Digest, artifactType string) ([]oci.Descriptor, error) {
	query := url.Values{}
	if artifactType != "" {
		query.Set("artifactType", artifactType)
	}
	var all []oci.Descriptor
	r := c.request(endpoint.ListReferrers, endpoint.Path{Name: name, Digest: d}, query)
	for page := range maxPages {
		raw, header, next, err := c.page(ctx, endpoint.ListReferrers, r)
		if page == 0 && hasNoReferrers(err) {
			return c.taggedReferrers(ctx, name, d, artifactType)
		}
		if err != nil {
			return nil, err
		}
		index, err := readIndex(raw)
		if err != nil {
			if page == 0 { // some answer everything with a page for people
				return c.taggedReferrers(ctx, name, d, artifactType)
			}
			return nil, err
		}
		if !strings.Contains(header.Get("OCI-Filters-Applied"), "artifactType") {
			index = ofType(index, artifactType)
		}
		if all = append(all, index...); next == nil {
			return all, nil
		}
		if len(all) > maxReferrers {
			break
		}
		r.URL, r.Attempts = next, 0
	}
	return nil, fmt.Errorf("referrers of %s: %w", d, ErrTooLarge)
}

// hasNoReferrers tells whether the registry does not know the API.
func hasNoReferrers(err error) bool {
	var no *refused
	if !errors.As(err, &no) {
		return false
	}
	switch no.reason.Status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusBadRequest, http.StatusNotAcceptable, http.StatusNotImplemented:
		return true
	}
	return false
}

// readIndex returns the entries of an index.
func readIndex(raw []byte) ([]oci.Descriptor, error) {
	m, err := manifest.Parse("", raw)
	if err != nil || m.Manifests == nil {
		return nil, fmt.Errorf("%w: not an index of referrers", ErrAnswer)
	}
	return m.Manifests, nil
}

// ofType keeps the descriptors of one type, or all where that is "".
func ofType(list []oci.Descriptor, artifactType string) []oci.Descriptor {
	return slices.DeleteFunc(list, func(d oci.Descriptor) bool { return artifactType != "" && d.ArtifactType != artifactType })
}

// ReferrersTag is the tag under which registries without the API have the referrers
// of d.
//
// Source: OCI distribution specification, "Referrers Tag Schema".
func ReferrersTag(d digest.Digest) ref.Tag {
	return ref.MustTag(string(d.Algorithm()) + "-" + d.Hex()[:64]) // longer ones are cut there
}

// taggedReferrers are those that the tag's index has; none if there is no tag.
func (c *Client) taggedReferrers(ctx context.Context, name ref.Name, d digest.Digest, artifactType string) ([]oci.Descriptor, error) {
	index, _, err := c.taggedIndex(ctx, name, d)
	return ofType(index, artifactType), err
}

// taggedIndex is what the tag of d's referrers lists, and its digest; the zero one if
// there is no tag.
func (c *Client) taggedIndex(ctx context.Context, name ref.Name, d digest.Digest) ([]oci.Descriptor, digest.Digest, error) {
	desc, raw, err := c.Manifest(ctx, name, ref.ByTag(ReferrersTag(d)))
	if errors.Is(err, ocierr.ManifestUnknown) || errors.Is(err, ocierr.NameUnknown) {
		return nil, digest.Digest{}, nil
	}
	if err != nil {
		return nil, digest.Digest{}, err
	}
	index, err := readIndex(raw)
	return index, desc.Digest, err
}

// addReferrer puts a referrer of subject into the tag's index.
func (c *Client) addReferrer(ctx context.Context, name ref.Name, subject digest.Digest, referrer oci.Descriptor) error {
	return c.changeReferrers(ctx, name, subject, func(list []oci.Descriptor) []oci.Descriptor {
		if slices.ContainsFunc(list, func(d oci.Descriptor) bool { return d.Digest == referrer.Digest }) {
			return list
		}
		return append(list, referrer)
	})
}

// dropReferrer takes a manifest that is to be deleted out of the index of subject, if
// the registry leaves that to its clients, and tells whether it does. An index that is
// empty then is left: not every registry can delete a tag.
//
// Source: OCI distribution specification, "Deleting Manifests".
func (c *Client) dropReferrer(ctx context.Context, name ref.Name, subject, referrer digest.Digest) (ours bool, err error) {
	_, _, _, err = c.page(ctx, endpoint.ListReferrers, c.request(endpoint.ListReferrers, endpoint.Path{Name: name, Digest: subject}, nil))
	if err == nil || !hasNoReferrers(err) {
		return false, err
	}
	return true, c.changeReferrers(ctx, name, subject, func(list []oci.Descriptor) []oci.Descriptor {
		return slices.DeleteFunc(slices.Clone(list), func(d oci.Descriptor) bool { return d.Digest == referrer })
	})
}

// changeReferrers makes of the list of subject's referrers what change does, which
// makes it longer or shorter, or leaves it. The write is made under a condition, for
// registries that know those; two clients at others may lose one of two, as the
// specification warns.
func (c *Client) changeReferrers(ctx context.Context, name ref.Name, subject digest.Digest, change func([]oci.Descriptor) []oci.Descriptor) error {
	for n := 1; n <= 5; n++ {
		list, was, err := c.taggedIndex(ctx, name, subject)
		if err != nil {
			return err
		}
		changed := change(list)
		if len(changed) == len(list) {
			return nil
		}
		raw, err := json.Marshal(oci.Index{SchemaVersion: oci.SchemaVersion, MediaType: oci.MediaTypeImageIndex, Manifests: changed})
		if err != nil {
			return err
		}
		m, err := manifest.Parse(oci.MediaTypeImageIndex, raw)
		if err != nil {
			return err
		}
		err = c.PushManifest(ctx, name, repo.Push{
			Digest: digest.FromBytes(raw), Raw: raw, Manifest: m, Tags: []ref.Tag{ReferrersTag(subject)},
			If: func(now digest.Digest) bool { return now == was },
		})
		var no *ocierr.Error
		if !errors.As(err, &no) || no.Status != http.StatusPreconditionFailed {
			return err
		}
		if err := wire.Sleep(ctx, wire.Backoff(n)); err != nil {
			return err
		}
	}
	return fmt.Errorf("referrers tag of %s: others keep changing it", subject)
}
