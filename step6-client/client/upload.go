package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step6-client/wire"
)

// Upload is a session in which a registry takes a blob. It is used by one goroutine
// at a time, and ends with Commit or Cancel; one that does neither expires in the
// registry. Its methods send what they are told to, once; PushBlob is what goes on
// after failures.
//
// Source: OCI distribution specification, "Pushing blobs".
type Upload struct {
	client *Client
	name   ref.Name
	at     *url.URL
	size   int64 // bytes that the registry has
	sure   bool  // whether it is known how many
	least  int64 // OCI-Chunk-Min-Length
}

// errSpent says that a request cannot be sent again, as its body is gone.
var errSpent = errors.New("client: the body was sent already")

// StartUpload opens a session of a repository, for a blob that the algorithm a will
// name.
func (c *Client) StartUpload(ctx context.Context, name ref.Name, a digest.Algorithm) (*Upload, error) {
	query := url.Values{}
	if a != digest.SHA256 {
		query.Set("digest-algorithm", string(a))
	}
	_, u, err := c.post(ctx, name, query)
	if err == nil && u == nil {
		err = fmt.Errorf("%w: 201 to the start of an upload", ErrAnswer)
	}
	return u, err
}

// OpenUpload takes up the session at the URL location, which an earlier Location
// was. ocierr.BlobUploadUnknown if it is over.
func (c *Client) OpenUpload(ctx context.Context, name ref.Name, location string) (*Upload, error) {
	at, err := c.conn.Follow(c.conn.URL(endpoint.Path{Pattern: endpoint.StartUpload.Pattern, Name: name}, nil), location)
	if err != nil {
		return nil, err
	}
	u := &Upload{client: c, name: name, at: at}
	return u, u.Status(ctx)
}

// MountBlob makes a blob of the repository from one of name's, without a copy. The
// zero from leaves it to the registry to find one. If that does not do it, the error
// is bucket.ErrNotExist. It is a method of uploadhttp.Mounter.
func (c *Client) MountBlob(ctx context.Context, name, from ref.Name, d digest.Digest) error {
	u, err := c.mount(ctx, name, from, d)
	if err != nil || u == nil {
		return err
	}
	u.Cancel(ctx) // else it expires
	return bucket.ErrNotExist
}

// mount returns the session that the registry began in the place of a mount, or nil
// if it did mount.
func (c *Client) mount(ctx context.Context, name, from ref.Name, d digest.Digest) (*Upload, error) {
	query := url.Values{"mount": {d.String()}}
	var more []wire.Scope
	if !from.IsZero() {
		query.Set("from", from.String())
		more = append(more, wire.RepositoryScope(from, endpoint.Pull))
	}
	h, u, err := c.post(ctx, name, query, more...)
	if err != nil || u != nil {
		return u, err
	}
	return nil, agrees(h, d)
}

// post is a POST to where uploads start. The session is nil if none was begun.
func (c *Client) post(ctx context.Context, name ref.Name, query url.Values, more ...wire.Scope) (http.Header, *Upload, error) {
	r := c.request(endpoint.StartUpload, endpoint.Path{Name: name}, query)
	r.Scopes = append(r.Scopes, more...)
	resp, err := c.do(ctx, endpoint.StartUpload, r)
	if err != nil {
		return nil, nil, err
	}
	wire.Discard(resp)
	if resp.StatusCode == http.StatusCreated {
		return resp.Header, nil, nil
	}
	u := &Upload{client: c, name: name, at: r.URL, sure: true}
	if resp.Header.Get("Location") == "" {
		return nil, nil, fmt.Errorf("%w: an upload without Location", ErrAnswer)
	}
	return resp.Header, u, u.follow(resp)
}

// Size is how many bytes the registry has.
func (u *Upload) Size() int64 { return u.size }

// Location is the URL of the session, for OpenUpload. It is a secret to those who do
// not push there.
func (u *Upload) Location() string { return u.at.String() }

// Append adds size bytes of r at the end of what the registry has; -1 for all that
// there are. With an error nobody knows what arrived: see Status.
func (u *Upload) Append(ctx context.Context, r io.Reader, size int64) error {
	return u.patch(ctx, once(r), size)
}

// once is a body that can be opened one time.
func once(r io.Reader) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		if r == nil {
			return nil, errSpent
		}
		body := r
		r = nil
		return io.NopCloser(body), nil
	}
}

func (u *Upload) patch(ctx context.Context, body func() (io.ReadCloser, error), size int64) error {
	r := u.request(endpoint.UploadChunk, "")
	r.Header["Content-Type"] = []string{"application/octet-stream"}
	if size > 0 {
		r.Header["Content-Range"] = []string{fmt.Sprintf("%d-%d", u.size, u.size+size-1)}
	}
	count := &counting{body: body, size: size}
	r.Body, r.Length = count.open, size
	resp, err := u.client.do(ctx, endpoint.UploadChunk, r)
	if err != nil {
		return u.unsure(err)
	}
	wire.Discard(resp)
	sent, _ := count.bytes()
	u.size += sent
	return u.follow(resp)
}

// Status asks how many bytes the registry has. ocierr.BlobUploadUnknown if the
// session is over.
func (u *Upload) Status(ctx context.Context) error {
	resp, err := u.client.do(ctx, endpoint.UploadStatus, u.request(endpoint.UploadStatus, ""))
	if err != nil {
		return err
	}
	wire.Discard(resp)
	if resp.Header.Get("Range") == "" {
		return fmt.Errorf("%w: status without Range", ErrAnswer)
	}
	u.size, u.sure = 0, false
	return u.follow(resp)
}

// Commit makes a blob of what the registry has, which must be what d names
// (ocierr.DigestInvalid). The session is over then.
func (u *Upload) Commit(ctx context.Context, d digest.Digest) error {
	return u.put(ctx, d, nil, 0)
}

// put is Commit after size more bytes.
func (u *Upload) put(ctx context.Context, d digest.Digest, body func() (io.ReadCloser, error), size int64) error {
	r := u.request(endpoint.FinishUpload, "digest="+url.QueryEscape(d.String()))
	r.Header["Content-Type"] = []string{"application/octet-stream"}
	r.Body, r.Length = body, size
	resp, err := u.client.do(ctx, endpoint.FinishUpload, r)
	if err != nil {
		return u.unsure(err)
	}
	wire.Discard(resp)
	return agrees(resp.Header, d)
}

// Cancel ends the session and frees its bytes. One that is over is no error.
func (u *Upload) Cancel(ctx context.Context) error {
	resp, err := u.client.do(ctx, endpoint.CancelUpload, u.request(endpoint.CancelUpload, ""))
	wire.Discard(resp)
	var no *refused
	if errors.As(err, &no) && no.reason.Status == http.StatusNotFound {
		return nil
	}
	return err
}

// request is one to the session's URL, to whose query more is added: what a registry
// keeps there is its own affair.
func (u *Upload) request(e *endpoint.Endpoint, more string) *wire.Request {
	r := u.client.request(e, endpoint.Path{Name: u.name}, nil)
	at := *u.at
	at.RawQuery = strings.TrimPrefix(at.RawQuery+"&"+more, "&")
	at.RawQuery = strings.TrimSuffix(at.RawQuery, "&")
	r.URL = &at
	r.Once = e == endpoint.UploadChunk || e == endpoint.FinishUpload
	return r
}

// follow reads where the session is now, and how far it has come.
func (u *Upload) follow(resp *http.Response) error {
	if location := resp.Header.Get("Location"); location != "" {
		at, err := u.client.conn.Follow(resp.Request.URL, location)
		if err != nil {
			return err
		}
		u.at = at
	}
	if least, err := strconv.ParseInt(resp.Header.Get("OCI-Chunk-Min-Length"), 10, 63); err == nil && least > 0 {
		u.least = least
	}
	text := resp.Header.Get("Range")
	if text == "" {
		return nil
	}
	kept, sure, err := parseProgress(text)
	if err != nil {
		return err
	}
	// "0-0" is no news where it fits what is known already.
	if !sure && u.sure && u.size <= 1 {
		return nil
	}
	u.size, u.sure = kept, sure
	return nil
}

// unsure notes that a request failed that carried bytes. Where the answer says how
// far the session has come, that is known again.
func (u *Upload) unsure(err error) error {
	u.sure = false
	var no *refused
	if errors.As(err, &no) && no.resp.Header.Get("Range") != "" {
		if followErr := u.follow(no.resp); followErr != nil {
			return errors.Join(err, followErr)
		}
	}
	return err
}
