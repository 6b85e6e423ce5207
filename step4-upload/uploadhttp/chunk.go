package uploadhttp

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step4-upload/upload"
)

// errLength says that a body has not the length that its Content-Range announced.
var errLength = errors.New("uploadhttp: body and Content-Range differ in length")

// chunk is the body of a PATCH or PUT, and where it belongs.
type chunk struct {
	body   io.Reader
	offset int64 // or upload.AtEnd
	left   int64 // bytes that are still to come; -1 if that was not said
}

// parseChunk reads the headers of a chunk. Without Content-Range the bytes go to
// the end of the session, however many there are.
func parseChunk(r *http.Request) (*chunk, error) {
	header, ok := r.Header["Content-Range"]
	if !ok {
		return &chunk{r.Body, upload.AtEnd, -1}, nil
	}
	first, last, ok := parseContentRange(header[0])
	if !ok || len(header) > 1 {
		return nil, ocierr.BlobUploadInvalid.With("Content-Range: want first-last")
	}
	if last < first {
		return nil, upload.ErrOffset
	}
	length := last - first + 1
	if length < 0 || r.ContentLength >= 0 && r.ContentLength != length {
		return nil, errLength
	}
	return &chunk{r.Body, first, length}, nil
}

// parseContentRange reads ^[0-9]+-[0-9]+$, each number below 2^63. It is not the
// Content-Range of RFC 9110, which has a unit and a size.
//
// Source: OCI distribution specification, "Pushing a blob in chunks".
func parseContentRange(s string) (first, last int64, ok bool) {
	from, to, found := strings.Cut(s, "-")
	a, errA := strconv.ParseUint(from, 10, 63)
	b, errB := strconv.ParseUint(to, 10, 63)
	return int64(a), int64(b), found && errA == nil && errB == nil
}

// Read ends with errLength where the body turns out shorter or longer than was
// announced.
func (c *chunk) Read(p []byte) (int, error) {
	if c.left < 0 {
		return c.body.Read(p)
	}
	if c.left == 0 {
		var one [1]byte
		n, err := c.body.Read(one[:])
		if n > 0 {
			return 0, errLength
		}
		return 0, err
	}
	n, err := c.body.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if err == io.EOF && c.left > 0 {
		err = errLength
	}
	return n, err
}
