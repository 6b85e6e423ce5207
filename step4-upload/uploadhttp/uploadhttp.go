// Package uploadhttp answers the requests by which clients push blobs: sessions
// of POST, PATCH and PUT, the single POST, and mounts.
//
// Source: OCI distribution specification, "Pushing blobs".
package uploadhttp

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strconv"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step4-upload/upload"
)

// Mounter takes a blob over from another repository.
type Mounter interface {
	// MountBlob makes d, which the repository from has, a blob of name. The zero from
	// stands for any repository that has it. If there is none that the caller may
	// pull from, the error is bucket.ErrNotExist.
	MountBlob(ctx context.Context, name, from ref.Name, d digest.Digest) error
}

// Register adds the endpoints of uploads to mux.
func Register(mux *api.Mux, uploads *upload.Manager, mounter Mounter) {
	h := handlers{uploads, mounter}
	mux.Handle(endpoint.StartUpload, h.start)
	mux.Handle(endpoint.UploadChunk, h.chunk)
	mux.Handle(endpoint.FinishUpload, h.finish)
	mux.Handle(endpoint.UploadStatus, h.status)
	mux.Handle(endpoint.CancelUpload, h.cancel)
}

type handlers struct {
	uploads *upload.Manager
	mounter Mounter
}

// start is POST: a mount, a whole blob, or a new session. A mount that cannot be
// is a new session too.
func (h handlers) start(w http.ResponseWriter, r *http.Request) error {
	p := api.PathOf(r)
	query := r.URL.Query()
	algorithm := digest.SHA256
	switch {
	case query.Has("mount"):
		d, err := digest.Parse(query.Get("mount"))
		if err != nil {
			return ocierr.DigestInvalid.With("mount: " + err.Error())
		}
		err = h.mount(r.Context(), p.Name, query.Get("from"), d)
		if err == nil {
			return created(w, r, d)
		}
		if !errors.Is(err, bucket.ErrNotExist) {
			return err
		}
		algorithm = d.Algorithm()
	case query.Has("digest"):
		d, err := digest.Parse(query.Get("digest"))
		if err != nil {
			return ocierr.DigestInvalid.With(err.Error())
		}
		if err := h.uploads.Put(r.Context(), p.Name, d, r.Body); err != nil {
			return reason(w, err)
		}
		return created(w, r, d)
	case query.Has("digest-algorithm"):
		var err error
		if algorithm, err = digest.ParseAlgorithm(query.Get("digest-algorithm")); err != nil {
			return ocierr.DigestInvalid.With(err.Error())
		}
	}
	status, err := h.uploads.Start(r.Context(), p.Name, algorithm)
	if err != nil {
		return reason(w, err)
	}
	progress(w, r, status)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// mount returns bucket.ErrNotExist also for a source that cannot be a name.
func (h handlers) mount(ctx context.Context, name ref.Name, source string, d digest.Digest) error {
	var from ref.Name
	if source != "" {
		var err error
		if from, err = ref.ParseName(source); err != nil {
			return bucket.ErrNotExist
		}
	}
	return h.mounter.MountBlob(ctx, name, from, d)
}

// chunk is PATCH.
func (h handlers) chunk(w http.ResponseWriter, r *http.Request) error {
	p := api.PathOf(r)
	piece, err := parseChunk(r)
	if err != nil {
		return h.refuse(w, r, err)
	}
	status, err := h.uploads.Append(r.Context(), p.Name, p.Session, piece.offset, piece)
	if err != nil {
		return failed(w, r, status, err)
	}
	progress(w, r, status)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// finish is PUT.
func (h handlers) finish(w http.ResponseWriter, r *http.Request) error {
	p := api.PathOf(r)
	d, err := digest.Parse(r.URL.Query().Get("digest"))
	if err != nil {
		return ocierr.DigestInvalid.With(err.Error())
	}
	piece, err := parseChunk(r)
	if err != nil {
		return h.refuse(w, r, err)
	}
	status, err := h.uploads.Finish(r.Context(), p.Name, p.Session, d, piece.offset, piece)
	if err != nil {
		return failed(w, r, status, err)
	}
	return created(w, r, d)
}

// refuse answers a chunk whose header is wrong; the session stays as it is, and
// the response says how it is.
func (h handlers) refuse(w http.ResponseWriter, r *http.Request, err error) error {
	p := api.PathOf(r)
	status, statusErr := h.uploads.Status(r.Context(), p.Name, p.Session)
	if statusErr != nil {
		return reason(w, statusErr)
	}
	return failed(w, r, status, err)
}

// status is GET.
func (h handlers) status(w http.ResponseWriter, r *http.Request) error {
	p := api.PathOf(r)
	status, err := h.uploads.Status(r.Context(), p.Name, p.Session)
	if err != nil {
		return reason(w, err)
	}
	progress(w, r, status)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// cancel is DELETE.
func (h handlers) cancel(w http.ResponseWriter, r *http.Request) error {
	p := api.PathOf(r)
	if err := h.uploads.Cancel(r.Context(), p.Name, p.Session); err != nil {
		return reason(w, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// created answers that d is now a blob of the repository.
func created(w http.ResponseWriter, r *http.Request, d digest.Digest) error {
	h := w.Header()
	h.Set("Location", api.Location(r, endpoint.Path{Pattern: endpoint.PullBlob.Pattern, Name: api.PathOf(r).Name, Digest: d}))
	h.Set("Docker-Content-Digest", d.String())
	w.WriteHeader(http.StatusCreated)
	return nil
}

// progress sets the headers that say how far a session has come. An empty one is
// "0-0" too: no other form is read by all clients.
func progress(w http.ResponseWriter, r *http.Request, s upload.Status) {
	h := w.Header()
	p := endpoint.Path{Pattern: endpoint.UploadStatus.Pattern, Name: api.PathOf(r).Name, Session: s.ID}
	h.Set("Location", api.Location(r, p))
	h.Set("Range", "0-"+strconv.FormatInt(max(s.Size-1, 0), 10))
	h.Set("Docker-Upload-Uuid", s.ID)
}

// failed is reason for a session that may go on.
func failed(w http.ResponseWriter, r *http.Request, s upload.Status, err error) error {
	if s.ID != "" {
		progress(w, r, s)
	}
	return reason(w, err)
}

// reason turns an error of package upload into what the specification has for it.
func reason(w http.ResponseWriter, err error) error {
	switch {
	case errors.Is(err, upload.ErrUnknown):
		return ocierr.BlobUploadUnknown
	case errors.Is(err, upload.ErrOffset):
		return ocierr.BlobUploadInvalid.WithStatus(http.StatusRequestedRangeNotSatisfiable, "bytes do not start at the end of the session")
	case errors.Is(err, upload.ErrBusy):
		return ocierr.BlobUploadInvalid.WithStatus(http.StatusRequestedRangeNotSatisfiable, "another request is writing to the session")
	case errors.Is(err, upload.ErrTooMany):
		w.Header().Set("Retry-After", "10")
		return ocierr.TooManyRequests.With("too many open upload sessions")
	case errors.Is(err, upload.ErrTooLarge):
		return ocierr.SizeInvalid.WithStatus(http.StatusRequestEntityTooLarge, "blob is larger than this registry accepts")
	case errors.Is(err, digest.ErrMismatch):
		return ocierr.DigestInvalid.With("content does not match the digest")
	case errors.Is(err, digest.ErrInvalid):
		return ocierr.DigestInvalid.With("announce the algorithm by digest-algorithm when the session is started")
	case errors.Is(err, errLength):
		return ocierr.SizeInvalid.With("Content-Range and the body differ in length")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ocierr.BlobUploadInvalid.WithStatus(http.StatusRequestTimeout, "the body came too slowly")
	case errors.Is(err, bucket.ErrSource):
		return ocierr.BlobUploadInvalid.With("the body ended early")
	}
	return err
}
