package repohttp

import (
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
)

// maxTags is how many tags one push may set.
const maxTags = 100

func pushManifest(w http.ResponseWriter, r *http.Request, pusher Pusher, maxSize int64) error {
	p := api.PathOf(r)
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return ocierr.Unsupported.WithStatus(http.StatusUnsupportedMediaType, "a manifest is pushed without Content-Encoding")
	}
	tags, err := pushedTags(r)
	if err != nil {
		return err
	}
	raw, err := readBody(w, r, maxSize)
	if err != nil {
		return err
	}
	push := repo.Push{Raw: raw, Tags: tags, If: condition(r)}
	if want, ok := p.Reference.Digest(); ok {
		push.Digest = want.Algorithm().FromBytes(raw)
		if push.Digest != want {
			return ocierr.DigestInvalid.With("the manifest's digest is " + push.Digest.String())
		}
	} else {
		push.Digest = digest.FromBytes(raw)
	}
	if push.Manifest, err = manifest.Parse(r.Header.Get("Content-Type"), raw); err != nil {
		return reason(err)
	}
	if err := pusher.PushManifest(r.Context(), p.Name, push); err != nil {
		return reason(err)
	}
	h := w.Header()
	h.Set("Location", api.Location(r, endpoint.Path{Pattern: endpoint.PullManifest.Pattern, Name: p.Name, Reference: ref.ByDigest(push.Digest)}))
	h.Set("Docker-Content-Digest", push.Digest.String())
	h.Set("ETag", `"`+push.Digest.String()+`"`)
	if subject := push.Manifest.Subject; subject != nil {
		h.Set("OCI-Subject", subject.Digest.String())
	}
	if r.URL.Query().Has("tag") {
		for _, tag := range tags {
			h.Add("OCI-Tag", tag.String())
		}
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// pushedTags are the tag of the path and those of the query, each once.
func pushedTags(r *http.Request) ([]ref.Tag, error) {
	var tags []ref.Tag
	if tag, ok := api.PathOf(r).Reference.Tag(); ok {
		tags = append(tags, tag)
	}
	for _, text := range r.URL.Query()["tag"] {
		tag, err := ref.ParseTag(text)
		if err != nil {
			return nil, ocierr.ManifestInvalid.With("tag: " + err.Error())
		}
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
		if len(tags) > maxTags {
			return nil, ocierr.Unsupported.WithStatus(http.StatusRequestURITooLong, "too many tags")
		}
	}
	return tags, nil
}

// readBody reads a manifest, of which it takes in no more than it accepts.
func readBody(w http.ResponseWriter, r *http.Request, maxSize int64) ([]byte, error) {
	tooLarge := func() error {
		w.Header().Set("Connection", "close") // rather than read the rest
		return ocierr.ManifestInvalid.WithStatus(http.StatusRequestEntityTooLarge, "manifest is larger than this registry accepts")
	}
	if r.ContentLength > maxSize {
		return nil, tooLarge()
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxSize+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, ocierr.ManifestInvalid.WithStatus(http.StatusRequestTimeout, "the body came too slowly")
	case err != nil:
		return nil, ocierr.ManifestInvalid.With("the body ended early")
	case int64(len(raw)) > maxSize:
		return nil, tooLarge()
	}
	return raw, nil
}

// condition reads If-Match and If-None-Match; nil if there is neither. The entity
// tag of a manifest is its digest.
//
// Source: RFC 9110, section 13.1.
func condition(r *http.Request) repo.Condition {
	match, noneMatch := r.Header.Values("If-Match"), r.Header.Values("If-None-Match")
	if len(match) == 0 && len(noneMatch) == 0 {
		return nil
	}
	return func(current digest.Digest) bool {
		return (len(match) == 0 || lists(match, current, false)) && (len(noneMatch) == 0 || !lists(noneMatch, current, true))
	}
}

// lists tells whether headers of entity tags hold d, or "*" where there is one; with
// weak, the weak form of the tag counts too.
func lists(headers []string, d digest.Digest, weak bool) bool {
	if d.IsZero() {
		return false
	}
	for _, header := range headers {
		for item := range strings.SplitSeq(header, ",") {
			item = strings.TrimSpace(item)
			if weak {
				item = strings.TrimPrefix(item, "W/")
			}
			if item == "*" || item == `"`+d.String()+`"` {
				return true
			}
		}
	}
	return false
}
