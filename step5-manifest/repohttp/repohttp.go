// Package repohttp answers the requests that need to know what a repository
// holds: pushing and deleting manifests, and the lists of tags, referrers and
// repositories. Ports puts a repo.Store behind the handlers for pulling and for
// uploads.
package repohttp

import (
	"context"
	"errors"
	"net/http"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
)

// Pusher stores manifests. Package repo has what its errors mean; those of ocierr
// go to the client as they are, here and in the other ports.
type Pusher interface {
	PushManifest(ctx context.Context, name ref.Name, p repo.Push) error
}

// Deleter takes manifests and tags away.
type Deleter interface {
	DeleteManifest(ctx context.Context, name ref.Name, d digest.Digest) error
	DeleteTag(ctx context.Context, name ref.Name, tag ref.Tag) error
}

// Tags lists the tags of a repository, as repo.Store does.
type Tags interface {
	Tags(ctx context.Context, name ref.Name, after string, n int) (tags []string, more bool, err error)
}

// Catalog lists the repositories that the context's caller may know of, as
// repo.Store does.
type Catalog interface {
	Repositories(ctx context.Context, after string, n int) (names []string, more bool, err error)
}

// Referrers lists the referrers of a manifest, as repo.Store does.
type Referrers interface {
	Referrers(ctx context.Context, name ref.Name, d digest.Digest, artifactType string, after digest.Digest, n, maxBytes int) (found []oci.Descriptor, more bool, err error)
}

// RegisterPush adds the pushing of manifests to mux. A manifest may have up to
// maxSize bytes.
func RegisterPush(mux *api.Mux, p Pusher, maxSize int64) {
	mux.Handle(endpoint.PushManifest, func(w http.ResponseWriter, r *http.Request) error {
		return pushManifest(w, r, p, maxSize)
	})
}

// RegisterDelete adds the deletion of manifests and tags to mux.
func RegisterDelete(mux *api.Mux, d Deleter) {
	mux.Handle(endpoint.DeleteManifest, func(w http.ResponseWriter, r *http.Request) error {
		p := api.PathOf(r)
		var err error
		if tag, ok := p.Reference.Tag(); ok {
			err = d.DeleteTag(r.Context(), p.Name, tag)
		} else {
			sum, _ := p.Reference.Digest()
			err = d.DeleteManifest(r.Context(), p.Name, sum)
		}
		if err != nil {
			return reason(err)
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	})
}

// RegisterLists adds the lists of tags, referrers and repositories to mux.
func RegisterLists(mux *api.Mux, tags Tags, referrers Referrers, catalog Catalog) {
	mux.Handle(endpoint.ListTags, func(w http.ResponseWriter, r *http.Request) error {
		return listTags(w, r, tags)
	})
	mux.Handle(endpoint.ListReferrers, func(w http.ResponseWriter, r *http.Request) error {
		return listReferrers(w, r, referrers)
	})
	mux.Handle(endpoint.ListCatalog, func(w http.ResponseWriter, r *http.Request) error {
		return listCatalog(w, r, catalog)
	})
}

// reason turns an error of package repo into what the specification has for it.
func reason(err error) error {
	var invalid *manifest.Error
	var missing *repo.MissingError
	switch {
	case errors.Is(err, repo.ErrNameUnknown):
		return ocierr.NameUnknown
	case errors.Is(err, repo.ErrBlobUnknown):
		return ocierr.BlobUnknown
	case errors.Is(err, repo.ErrManifestUnknown):
		return ocierr.ManifestUnknown
	case errors.Is(err, repo.ErrCondition):
		return ocierr.Unsupported.WithStatus(http.StatusPreconditionFailed, "the tag or manifest is not in the state that was asked for")
	case errors.As(err, &invalid):
		return ocierr.ManifestInvalid.With(invalid.Reasons())
	case errors.As(err, &missing):
		return ocierr.ManifestBlobUnknown.With(missing.Missing)
	}
	return err
}
