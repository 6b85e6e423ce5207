package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step6-client/wire"
)

// PushManifest stores a manifest, and points tags at it. Its children must be there
// (ocierr.ManifestBlobUnknown). Where the registry has no API for referrers and the
// manifest has a subject, the tag that stands for the list is changed too. It is a
// method of repohttp.Pusher.
//
// A condition is asked with what the tags refer to now, and goes to the registry as
// If-Match or If-None-Match. Where it does not hold, here or there, the error has
// status 412. Registries that do not know conditions do not look at the second.
func (c *Client) PushManifest(ctx context.Context, name ref.Name, p repo.Push) error {
	condition, err := c.condition(ctx, name, p)
	if err != nil {
		return err
	}
	// One tag goes into the path, which every registry knows; several go into the
	// query, and one by one to those that do not look there.
	reference, query := ref.ByDigest(p.Digest), url.Values{}
	if len(p.Tags) == 1 && p.Digest.Algorithm() == digest.SHA256 {
		reference = ref.ByTag(p.Tags[0])
	} else {
		for _, tag := range p.Tags {
			query.Add("tag", tag.String())
		}
	}
	answer, err := c.putManifest(ctx, name, reference, query, condition, p)
	if err != nil {
		return err
	}
	if query.Has("tag") {
		if err := c.missedTags(ctx, name, answer, p); err != nil {
			return err
		}
	}
	if subject := p.Manifest.Subject; subject != nil && answer.Get("OCI-Subject") == "" {
		return c.addReferrer(ctx, name, subject.Digest, p.Manifest.Referrer(p.Digest, int64(len(p.Raw))))
	}
	return nil
}

// putManifest returns the headers of the answer.
func (c *Client) putManifest(ctx context.Context, name ref.Name, reference ref.TagOrDigest, query url.Values, condition http.Header, p repo.Push) (http.Header, error) {
	r := c.request(endpoint.PushManifest, endpoint.Path{Name: name, Reference: reference}, query)
	r.Header = condition.Clone()
	r.Header.Set("Content-Type", p.Manifest.MediaType)
	r.Body = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p.Raw)), nil }
	r.Length = int64(len(p.Raw))
	resp, err := c.do(ctx, endpoint.PushManifest, r)
	if err != nil {
		return c.ownWrite(ctx, name, p, r, err)
	}
	wire.Discard(resp)
	return resp.Header, agrees(resp.Header, p.Digest)
}

// ownWrite takes a 412 for success where an earlier attempt may have written, and
// what was found to be in another state is what this one wanted. The answer that was
// lost can only have been that of a registry which knows all of this.
func (c *Client) ownWrite(ctx context.Context, name ref.Name, p repo.Push, r *wire.Request, err error) (http.Header, error) {
	var no *refused
	if r.Attempts < 2 || !errors.As(err, &no) || no.reason.Status != http.StatusPreconditionFailed {
		return nil, err
	}
	for _, reference := range references(p) {
		if desc, resolveErr := c.Resolve(ctx, name, reference); resolveErr != nil || desc.Digest != p.Digest {
			return nil, err
		}
	}
	answer := http.Header{"Oci-Tag": r.URL.Query()["tag"]}
	if p.Manifest.Subject != nil {
		answer.Set("OCI-Subject", p.Manifest.Subject.Digest.String())
	}
	return answer, nil
}

// references are what p's condition is about: its tags, or itself if it has none.
func references(p repo.Push) []ref.TagOrDigest {
	if len(p.Tags) == 0 {
		return []ref.TagOrDigest{ref.ByDigest(p.Digest)}
	}
	var list []ref.TagOrDigest
	for _, tag := range p.Tags {
		list = append(list, ref.ByTag(tag))
	}
	return list
}

// condition is p's condition as headers. As it depends on nothing but a tag's state,
// it holds as long as each tag is in one of the states for which it was found to
// hold.
func (c *Client) condition(ctx context.Context, name ref.Name, p repo.Push) (http.Header, error) {
	h := http.Header{}
	if p.If == nil {
		return h, nil
	}
	var states []string
	absent := 0
	for _, reference := range references(p) {
		desc, err := c.Resolve(ctx, name, reference)
		switch {
		case errors.Is(err, ocierr.ManifestUnknown), errors.Is(err, ocierr.NameUnknown):
			absent++
		case err != nil:
			return nil, err
		default:
			states = append(states, `"`+desc.Digest.String()+`"`)
		}
		if !p.If(desc.Digest) {
			return nil, fmt.Errorf("%s: %w", reference, ocierr.Unsupported.WithStatus(http.StatusPreconditionFailed, "the tag or manifest is not in the state that was asked for"))
		}
	}
	switch {
	case absent > 0 && len(states) > 0:
		return nil, fmt.Errorf("%w: %w", ErrCondition, ocierr.Unsupported.WithStatus(http.StatusPreconditionFailed, "some of the tags are there, some are not"))
	case absent > 0:
		h.Set("If-None-Match", "*")
	default:
		h.Set("If-Match", strings.Join(states, ", "))
	}
	return h, nil
}

// missedTags sets, one by one, the tags of a query that the registry did not set.
func (c *Client) missedTags(ctx context.Context, name ref.Name, answer http.Header, p repo.Push) error {
	done := map[string]bool{}
	for _, line := range answer.Values("OCI-Tag") {
		for tag := range strings.SplitSeq(line, ",") {
			done[strings.TrimSpace(tag)] = true
		}
	}
	for _, tag := range p.Tags {
		if done[tag.String()] {
			continue
		}
		// A condition was good for the state before, and is spent.
		if _, err := c.putManifest(ctx, name, ref.ByTag(tag), nil, http.Header{}, p); err != nil {
			return err
		}
	}
	return nil
}
