// Package client speaks the table of endpoints from the other side: it asks what
// package endpoint says that a registry answers, and turns the answers back into
// what they were before they went over the wire, errors included, so that
// errors.Is(err, ocierr.ManifestUnknown) holds here as it does in the registry.
//
// A Client is one registry. It has the methods that the handlers of the earlier
// steps ask for (pullhttp.Blobs, uploadhttp.Mounter, repohttp.Pusher and the rest),
// so a handler over a Client is a proxy.
//
// Nothing that a registry says is believed that can be checked: content is held
// against its digest, answers are read up to a limit, and where they lead is
// package wire's to judge.
//
// Reading order: client.go, answer.go (from a response to an error), header.go (what
// the headers say); manifests.go, pushmanifest.go, lists.go, referrers.go; blob.go
// and pull.go with ranges.go (from the registry), body.go, upload.go and push.go with
// recover.go and rhythm.go (to it).
package client

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"sync/atomic"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step6-client/journal"
	"shibafu.dev/step6-client/wire"
)

// What the errors of this package are, besides those of ocierr, of package wire,
// digest.ErrMismatch and manifest.ErrInvalid.
var (
	// ErrAnswer says that a registry's answer is not one to what was asked.
	ErrAnswer = errors.New("client: the registry's answer is not one to the request")
	// ErrTooLarge says that an answer is larger than what is read of its kind.
	ErrTooLarge = errors.New("client: answer is too large")
	// ErrCondition says that no header can express a condition: the tags that it is
	// for are in states too different.
	ErrCondition = errors.New("client: condition cannot be sent")
)

// What Options are where they are not set.
const (
	DefaultRanges    = 4
	DefaultRangeSize = 4 << 20
	// memory is what the ranges of all blobs under way may take, in bytes, if they are
	// of the default size.
	memory = 32 << 20
	// patience is how long an answer may take to be read that is not a blob.
	patience = 10 * time.Minute
)

// Options are how a registry is reached and used. The zero value is usable.
type Options struct {
	wire.Options
	// Journal is where uploads are kept that are under way; nil for nowhere.
	Journal *journal.Journal
	// Chunk is the largest piece in which a blob is pushed, in bytes; 0 for the whole.
	// Pieces become smaller where a registry, or a proxy before it, does not take them.
	Chunk int64
	// Ranges is how many ranges of a large blob are downloaded at once, where one stream
	// is slow; 1 for one stream anyway. RangeSize is how large they are, in bytes; each is held in memory until
	// those before it are written, and all blobs share what memory there is for that.
	Ranges    int
	RangeSize int64
	// Progress, if it is set, is told how many of a blob's bytes have come or gone; it
	// may be told of less than before, where bytes were lost. It is called from
	// several goroutines.
	Progress func(d digest.Digest, done, size int64)
}

// Client is a registry, as others see it. Its methods may be called at once from
// many goroutines.
type Client struct {
	conn    *wire.Conn
	opts    Options
	buffers *buffers    // what ranges are received in
	fast    atomic.Bool // one stream was found to be as good as several
}

// New is the registry at host: "host" or "host:port", as in a reference. Nothing
// is sent yet.
func New(host string, opts Options) (*Client, error) {
	opts.Ranges = max(1, cmp.Or(opts.Ranges, DefaultRanges))
	opts.RangeSize = max(1, cmp.Or(opts.RangeSize, DefaultRangeSize))
	if opts.Progress == nil {
		opts.Progress = func(digest.Digest, int64, int64) {}
	}
	conn, err := wire.New(host, opts.Options)
	if err != nil {
		return nil, err
	}
	most := max(opts.Ranges, int(memory/max(opts.RangeSize, DefaultRangeSize)))
	return &Client{conn: conn, opts: opts, buffers: newBuffers(most, opts.RangeSize)}, nil
}

// Close lets go of idle connections.
func (c *Client) Close() { c.conn.Close() }

// Origin is that of the registry.
func (c *Client) Origin() wire.Origin { return c.conn.Origin() }

// Ping asks whether there is a registry that lets us in. ocierr.Unauthorized if it
// does not.
func (c *Client) Ping(ctx context.Context) error {
	resp, err := c.do(ctx, endpoint.Base, c.request(endpoint.Base, endpoint.Path{}, nil))
	wire.Discard(resp)
	return err
}

// request is one to the endpoint e of the registry: its first method, the path with
// the parts of p that it has, the right that it needs.
func (c *Client) request(e *endpoint.Endpoint, p endpoint.Path, query url.Values) *wire.Request {
	p.Pattern = e.Pattern
	r := &wire.Request{Method: e.Methods[0], URL: c.conn.URL(p, query), Header: map[string][]string{}, Patience: patience}
	switch e.Action {
	case endpoint.Ping:
	case endpoint.Catalog:
		r.Scopes = []wire.Scope{wire.CatalogScope}
	default:
		r.Scopes = []wire.Scope{wire.RepositoryScope(p.Name, e.Action)}
	}
	return r
}
