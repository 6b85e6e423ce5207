package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step6-client/wire"
)

// maxError is how much of an error's body is read, in bytes.
const maxError = 64 << 10

// refused is an answer that is an error.
type refused struct {
	what   string // the request
	reason *ocierr.Error
	resp   *http.Response // its header counts, its body is gone
}

// Error says what was asked, and how it was answered.
func (e *refused) Error() string {
	return fmt.Sprintf("%s: %d %v", e.what, e.reason.Status, e.reason)
}

// Unwrap is what the answer means.
func (e *refused) Unwrap() error { return e.reason }

// do sends r to the endpoint e. The answer is a success, whose body the caller
// closes; what else comes is an error, of ocierr if it is the registry's.
func (c *Client) do(ctx context.Context, e *endpoint.Endpoint, r *wire.Request) (*http.Response, error) {
	resp, err := c.conn.Do(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", describe(r), err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer wire.Discard(resp)
	return nil, &refused{describe(r), readError(e, resp), resp}
}

// describe names a request without its query, which may hold secrets.
func describe(r *wire.Request) string {
	return r.Method + " " + r.URL.Scheme + "://" + r.URL.Host + r.URL.Path
}

// readError is the error that an answer reports: its first one, with the status it
// came with. Where the body is not of the specification's form, the status and the
// endpoint say what it must be.
func readError(e *endpoint.Endpoint, resp *http.Response) *ocierr.Error {
	var body ocierr.Body
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxError))
	if err == nil && json.Unmarshal(raw, &body) == nil && len(body.Errors) > 0 && isCode(body.Errors[0].Code) {
		found := body.Errors[0]
		return &ocierr.Error{Code: found.Code, Status: resp.StatusCode, Message: printable(found.Message), Detail: found.Detail}
	}
	return &ocierr.Error{Code: codeOf(e, resp.StatusCode), Status: resp.StatusCode}
}

// isCode bounds what is taken for a code: [A-Z_]{1,64}
func isCode(c ocierr.Code) bool {
	for i := range len(c) {
		if (c[i] < 'A' || c[i] > 'Z') && c[i] != '_' {
			return false
		}
	}
	return c != "" && len(c) <= 64
}

// printable takes out of a text what a terminal would obey, and all but its
// beginning.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	return s[:min(len(s), 1<<10)]
}

// unknown is what a 404 of an endpoint is about.
var unknown = map[*endpoint.Endpoint]ocierr.Code{
	endpoint.PullBlob: ocierr.BlobUnknown, endpoint.DeleteBlob: ocierr.BlobUnknown,
	endpoint.PullManifest: ocierr.ManifestUnknown, endpoint.DeleteManifest: ocierr.ManifestUnknown, endpoint.ListReferrers: ocierr.ManifestUnknown,
	endpoint.StartUpload: ocierr.NameUnknown, endpoint.PushManifest: ocierr.NameUnknown, endpoint.ListTags: ocierr.NameUnknown,
	endpoint.UploadChunk: ocierr.BlobUploadUnknown, endpoint.FinishUpload: ocierr.BlobUploadUnknown,
	endpoint.UploadStatus: ocierr.BlobUploadUnknown, endpoint.CancelUpload: ocierr.BlobUploadUnknown,
}

// codeOf is the code that goes with a bare status.
func codeOf(e *endpoint.Endpoint, status int) ocierr.Code {
	upload := e == endpoint.UploadChunk || e == endpoint.FinishUpload || e == endpoint.StartUpload
	switch {
	case status == http.StatusNotFound && unknown[e] != "":
		return unknown[e]
	case status == http.StatusUnauthorized:
		return ocierr.Unauthorized
	case status == http.StatusForbidden:
		return ocierr.Denied
	case status == http.StatusTooManyRequests:
		return ocierr.TooManyRequests
	case status == http.StatusInsufficientStorage:
		return ocierr.StorageFull
	case status >= 500:
		return ocierr.InternalError
	case status == http.StatusRequestEntityTooLarge && upload:
		return ocierr.SizeInvalid
	case upload && (status == http.StatusBadRequest || status == http.StatusRequestedRangeNotSatisfiable):
		return ocierr.BlobUploadInvalid
	case e == endpoint.PushManifest && (status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge):
		return ocierr.ManifestInvalid
	}
	return ocierr.Unsupported
}

// readBounded reads a body that has at most limit bytes. ErrTooLarge, before a byte
// is read where the answer says how many come.
func readBounded(resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, ErrTooLarge
	}
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, fmt.Errorf("%w: Content-Encoding", ErrAnswer)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = ErrTooLarge
	}
	return raw, err
}
