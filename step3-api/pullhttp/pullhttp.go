// Package pullhttp answers the requests by which clients pull: GET and HEAD of
// manifests and blobs, whole or in ranges. It also answers DELETE of blobs, the
// one request that needs no more than they do.
//
// What it serves from comes through ports that ask for no more than it needs: a
// bare content-addressable store can stand behind them, or a repository with all
// its links, or a client of another registry.
package pullhttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
)

// Blobs opens blobs. What is not there is bucket.ErrNotExist; errors of ocierr
// go to the client as they are.
type Blobs interface {
	// OpenBlob returns the blob, which the caller closes.
	OpenBlob(ctx context.Context, name ref.Name, d digest.Digest) (bucket.Object, error)
	// StatBlob returns its size in bytes.
	StatBlob(ctx context.Context, name ref.Name, d digest.Digest) (int64, error)
}

// Manifests finds manifests. Errors are as for Blobs.
type Manifests interface {
	// Manifest returns what the tag or digest refers to: its media type, digest and
	// size, and its exact bytes, which the caller does not change.
	Manifest(ctx context.Context, name ref.Name, reference ref.TagOrDigest) (oci.Descriptor, []byte, error)
}

// BlobDeleter takes blobs out of a repository. Errors are as for Blobs.
type BlobDeleter interface {
	DeleteBlob(ctx context.Context, name ref.Name, d digest.Digest) error
}

// Bare is Blobs over a store as it is: every name sees everything.
type Bare struct{ Store *cas.Store }

// OpenBlob implements Blobs.
func (b Bare) OpenBlob(ctx context.Context, _ ref.Name, d digest.Digest) (bucket.Object, error) {
	return b.Store.Open(ctx, d)
}

// StatBlob implements Blobs.
func (b Bare) StatBlob(ctx context.Context, _ ref.Name, d digest.Digest) (int64, error) {
	info, err := b.Store.Stat(ctx, d)
	return info.Size, err
}

// RegisterBlobs adds the pulling of blobs to mux.
func RegisterBlobs(mux *api.Mux, blobs Blobs) {
	mux.Handle(endpoint.PullBlob, func(w http.ResponseWriter, r *http.Request) error {
		return pullBlob(w, r, blobs)
	})
}

// RegisterManifests adds the pulling of manifests to mux.
func RegisterManifests(mux *api.Mux, manifests Manifests) {
	mux.Handle(endpoint.PullManifest, func(w http.ResponseWriter, r *http.Request) error {
		return pullManifest(w, r, manifests)
	})
}

// RegisterBlobDelete adds the deletion of blobs to mux.
func RegisterBlobDelete(mux *api.Mux, blobs BlobDeleter) {
	mux.Handle(endpoint.DeleteBlob, func(w http.ResponseWriter, r *http.Request) error {
		p := api.PathOf(r)
		if err := blobs.DeleteBlob(r.Context(), p.Name, p.Digest); err != nil {
			return notExist(err, ocierr.BlobUnknown)
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	})
}

// notExist turns bucket.ErrNotExist into code.
func notExist(err error, code ocierr.Code) error {
	if errors.Is(err, bucket.ErrNotExist) {
		return code
	}
	return err
}

func pullBlob(w http.ResponseWriter, r *http.Request, blobs Blobs) error {
	p := api.PathOf(r)
	if r.Method == http.MethodHead {
		size, err := blobs.StatBlob(r.Context(), p.Name, p.Digest)
		if err != nil {
			return notExist(err, ocierr.BlobUnknown)
		}
		r.Header.Del("Range")
		return serveBlob(w, r, p.Digest, size, nothing(size))
	}
	blob, err := blobs.OpenBlob(r.Context(), p.Name, p.Digest)
	if err != nil {
		return notExist(err, ocierr.BlobUnknown)
	}
	defer blob.Close()
	return serveBlob(w, r, p.Digest, blob.Info().Size, blob)
}

// serveBlob leaves the sending to http.ServeContent, once nothing is left to it
// that it could answer in plain text.
func serveBlob(w http.ResponseWriter, r *http.Request, d digest.Digest, size int64, content io.ReadSeeker) error {
	if done, err := settleConditions(w, r, d); done {
		return err
	}
	if err := settleRange(r, etag(d), size); err != nil {
		w.Header()["Content-Range"] = []string{"bytes */" + strconv.FormatInt(size, 10)}
		return err
	}
	w.Header()["Content-Type"] = []string{"application/octet-stream"}
	http.ServeContent(w, r, "", time.Time{}, content)
	return nil
}

// nothing is content whose size is all that is asked for, as HEAD does.
func nothing(size int64) io.ReadSeeker { return io.NewSectionReader(nil, 0, size) }

func pullManifest(w http.ResponseWriter, r *http.Request, manifests Manifests) error {
	p := api.PathOf(r)
	desc, raw, err := manifests.Manifest(r.Context(), p.Name, p.Reference)
	if err != nil {
		return notExist(err, ocierr.ManifestUnknown)
	}
	if done, err := settleConditions(w, r, desc.Digest); done {
		return err
	}
	h := w.Header()
	h["Content-Type"] = []string{desc.MediaType}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["Content-Length"] = []string{strconv.Itoa(len(raw))}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(raw)
	}
	return nil
}
