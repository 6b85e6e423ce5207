package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step6-client/wire"
)

// StatBlob returns the size of a blob in bytes, as the registry says. ocierr.BlobUnknown,
// ocierr.NameUnknown. It is a method of pullhttp.Blobs.
func (c *Client) StatBlob(ctx context.Context, name ref.Name, d digest.Digest) (int64, error) {
	return c.statBlob(ctx, name, d)
}

// statBlob is StatBlob with a token that is good for more.
func (c *Client) statBlob(ctx context.Context, name ref.Name, d digest.Digest, more ...wire.Scope) (int64, error) {
	r := c.request(endpoint.PullBlob, endpoint.Path{Name: name, Digest: d}, nil)
	r.Method, r.Scopes = http.MethodHead, append(r.Scopes, more...)
	resp, err := c.do(ctx, endpoint.PullBlob, r)
	if err != nil {
		return 0, err
	}
	wire.Discard(resp)
	if resp.ContentLength < 0 {
		return 0, fmt.Errorf("%w: HEAD without Content-Length", ErrAnswer)
	}
	return resp.ContentLength, agrees(resp.Header, d)
}

// OpenBlob returns a blob, which the caller closes before ctx ends. ocierr.BlobUnknown,
// ocierr.NameUnknown. It is a method of pullhttp.Blobs.
//
// The blob can be read from anywhere. Read from its start to its end it is checked:
// the bytes that would complete it come with digest.ErrMismatch in their place if it
// is not what d names. Where the connection is cut, another one goes on.
func (c *Client) OpenBlob(ctx context.Context, name ref.Name, d digest.Digest) (bucket.Object, error) {
	b := &blob{client: c, ctx: ctx, name: name, digest: d, size: -1, check: digest.NewVerifier(d)}
	size, err := c.StatBlob(ctx, name, d)
	var no *refused
	switch {
	case err == nil:
		b.size = size
		return b, nil
	case !errors.As(err, &no) && !errors.Is(err, ErrAnswer):
		return nil, err
	}
	// An answer to HEAD has no body that would say what is wrong, and some registries
	// do not know it at all.
	if err := b.connect(); err != nil {
		return nil, err
	}
	return b, nil
}

// ReadBlob is OpenBlob where the size is known: nothing is sent before the first Read,
// whose error says what is wrong. unchecked leaves the check to the caller.
func (c *Client) ReadBlob(ctx context.Context, name ref.Name, d oci.Descriptor, unchecked bool) bucket.Object {
	b := &blob{client: c, ctx: ctx, name: name, digest: d.Digest, size: d.Size}
	if !unchecked {
		b.check = digest.NewVerifier(d.Digest)
	}
	return b
}

// blob is a blob that is being read.
type blob struct {
	client *Client
	ctx    context.Context
	name   ref.Name
	digest digest.Digest
	size   int64
	until  int64 // where reading ends; 0 for at the blob's end

	at     int64         // where the next Read is
	body   io.ReadCloser // what comes from there; nil where there is no connection
	failed int           // how often a connection ended since the last byte

	check   *digest.Verifier // nil if the caller checks
	checked int64            // how many bytes from the start it has seen
}

// Info implements bucket.Object.
func (b *blob) Info() bucket.Info {
	return bucket.Info{Key: b.digest.String(), Size: b.size, Version: b.digest.String()}
}

// Seek implements io.Seeker. It sends nothing.
func (b *blob) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.at
	case io.SeekEnd:
		offset += b.size
	}
	if offset < 0 {
		return 0, errors.New("client: seek before the start of a blob")
	}
	if offset != b.at {
		b.disconnect()
	}
	b.at = offset
	return offset, nil
}

// Close implements io.Closer.
func (b *blob) Close() error {
	b.disconnect()
	return nil
}

func (b *blob) disconnect() {
	if b.body != nil {
		b.body.Close()
		b.body = nil
	}
}

// Read implements io.Reader.
func (b *blob) Read(p []byte) (int, error) {
	for {
		if b.at >= b.limit() {
			return 0, b.end()
		}
		if len(p) == 0 {
			return 0, nil
		}
		if b.body == nil {
			if err := b.connect(); err != nil {
				return 0, err
			}
			continue
		}
		n, err := b.body.Read(p[:min(int64(len(p)), b.limit()-b.at)])
		if n > 0 {
			b.failed = 0
			return b.accept(p[:n])
		}
		if err == nil {
			continue
		}
		b.disconnect()
		if err := b.again(err); err != nil {
			return 0, err
		}
	}
}

// limit is where reading ends.
func (b *blob) limit() int64 {
	if b.until > 0 {
		return b.until
	}
	return b.size
}

// end is what follows the last byte: io.EOF, unless an empty blob should not be one.
func (b *blob) end() error {
	if b.size == 0 && b.check != nil {
		if err := b.check.Verify(); err != nil {
			return err
		}
	}
	return io.EOF
}

// accept takes bytes that came, unless they are the last and the whole is wrong.
func (b *blob) accept(p []byte) (int, error) {
	if b.check != nil && b.checked == b.at {
		b.check.Write(p)
		b.checked += int64(len(p))
		if b.checked == b.size {
			if err := b.check.Verify(); err != nil {
				b.size = b.at // it stays an error
				return 0, err
			}
		}
	}
	b.at += int64(len(p))
	return len(p), nil
}

// again waits before a connection that ended with err is made anew. It returns an
// error where that makes no sense any more.
func (b *blob) again(err error) error {
	b.failed++
	if b.failed > b.client.conn.Retries() || b.ctx.Err() != nil {
		return fmt.Errorf("blob %s at byte %d of %d: %w", b.digest, b.at, b.size, unexpected(err))
	}
	return wire.Sleep(b.ctx, wire.Backoff(b.failed))
}

// unexpected is err, for an end that came too early.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// connect asks for the bytes from b.at on. Without an error there may still be no
// connection, if it was cut at once.
func (b *blob) connect() error {
	last := int64(-1)
	if b.at > 0 || b.until > 0 {
		last = b.limit() - 1 // not all registries know ranges without an end
	}
	part, err := b.client.get(b.ctx, b.name, b.digest, b.at, last)
	if err != nil {
		return err
	}
	if b.size < 0 {
		b.size = part.size
	}
	if part.size >= 0 && part.size != b.size || b.size < 0 {
		part.Close()
		return fmt.Errorf("%w: blob %s has %d bytes, but comes with %d", ErrAnswer, b.digest, b.size, part.size)
	}
	if part.whole {
		b.until = 0 // it all comes anyway
	}
	b.body = part
	if err := part.skip(b.at); err != nil {
		b.disconnect()
		return b.again(err)
	}
	return nil
}

// part is the body of an answer that has some of a blob.
type part struct {
	io.ReadCloser
	first int64
	whole bool  // Range was ignored
	size  int64 // of the blob; -1 if the answer does not say
}

// skip reads on to the byte at, which is not before the first.
func (p part) skip(at int64) error {
	_, err := io.CopyN(io.Discard, p, at-p.first)
	return err
}

// get asks for the bytes of a blob from first to last, both included, or for all of
// it if last is -1. What comes may end earlier, and if it is whole it starts earlier.
func (c *Client) get(ctx context.Context, name ref.Name, d digest.Digest, first, last int64) (*part, error) {
	r := c.request(endpoint.PullBlob, endpoint.Path{Name: name, Digest: d}, nil)
	r.Patience = 0 // it may take as long as it is large
	if last >= 0 {
		r.Header["Range"] = []string{fmt.Sprintf("bytes=%d-%d", first, last)}
	}
	resp, err := c.do(ctx, endpoint.PullBlob, r)
	if err != nil {
		return nil, err
	}
	p, err := readPart(resp, d, first, last)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return p, nil
}

// readPart looks at an answer that should hold first to last of d.
func readPart(resp *http.Response, d digest.Digest, first, last int64) (*part, error) {
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, fmt.Errorf("%w: blob with Content-Encoding", ErrAnswer)
	}
	if err := agrees(resp.Header, d); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusPartialContent {
		return &part{resp.Body, 0, true, resp.ContentLength}, nil
	}
	s, err := parseContentRange(resp.Header.Get("Content-Range"))
	if err != nil {
		return nil, err
	}
	if s.first != first || last >= 0 && s.last > last || resp.ContentLength >= 0 && resp.ContentLength != s.last-s.first+1 {
		return nil, fmt.Errorf("%w: another range than was asked for", ErrAnswer)
	}
	return &part{resp.Body, first, false, s.size}, nil
}
