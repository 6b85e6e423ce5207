// Package wire carries requests to one registry, and sees that nothing meant for
// it goes elsewhere. It repeats what failed in passing, follows redirects, and
// gives credentials to the registry's own origin (scheme, host and port) and to
// nobody else: a registry names other places in redirects, in Location, Link and
// realm, and none of them is to be believed.
//
// Reading order: wire.go (what a connection is given), origin.go and dial.go (who
// is who, by name and by address), do.go (a request, redirects included), retry.go,
// challenge.go, scope.go, auth.go and token.go (credentials), watch.go (what moves
// no more), file.go (bodies that the kernel sends).
package wire

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step6-client/credential"
)

// What the errors of this package are, besides those of the network, of TLS and of
// ocierr.
var (
	// ErrOrigin says that a server sent us where we do not go: to another origin than
	// its own, or from https to http.
	ErrOrigin = errors.New("wire: leads to another origin")
	// ErrAddress says that a server sent us to an address of the machine itself or of
	// the network inside, where it is not itself.
	ErrAddress = errors.New("wire: leads to an address that is not public")
	// ErrRedirect says that a redirect leads nowhere, or was not one to follow.
	ErrRedirect = errors.New("wire: bad redirect")
	// ErrChallenge says that a WWW-Authenticate header is not what RFC 9110 has.
	ErrChallenge = errors.New("wire: bad WWW-Authenticate")
	// ErrToken says that a token server gave no token.
	ErrToken = errors.New("wire: no token")
	// ErrStalled says that nothing moved for too long.
	ErrStalled = errors.New("wire: connection stalled")
)

// What Options are where they are not set.
const (
	DefaultRetries = 5
	DefaultStall   = time.Minute
	DefaultMaxWait = 5 * time.Minute
)

// Credentials finds what a registry takes.
type Credentials interface {
	// Credential returns what is kept for a place: a host ("host" or "host:port"), or a
	// repository there ("host/name"), which may have a credential of its own. The zero
	// Credential if nothing is.
	Credential(ctx context.Context, place string) (credential.Credential, error)
}

// Options are how a registry is reached. The zero value is usable.
type Options struct {
	// Scheme is "http" or "https". "" is http for localhost and addresses of this
	// machine, else https.
	Scheme string
	// CAFile is a PEM file of certificates that are trusted besides the system's.
	CAFile string
	// SkipVerify takes any certificate.
	SkipVerify bool
	// Credentials may be nil: then everything is asked for anonymously.
	Credentials Credentials
	// TokenServers are hosts ("host" or "host:port") that get the credentials too if
	// the registry names them as its realm, over https. A registry's own origin and
	// the token servers of well-known registries need not be listed.
	TokenServers []string
	// Retries is how often a request is repeated; negative for never.
	Retries int
	// Stall is how long a request or response may stand still.
	Stall time.Duration
	// MaxWait is the longest Retry-After that is waited for.
	MaxWait time.Duration
	// UserAgent is what we call ourselves.
	UserAgent string
	// Dial, if it is set, connects in the place of TCP, to "host:port". Then nobody
	// looks at addresses, and no proxy of the environment is used.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (o Options) withDefaults() Options {
	o.Retries = cmp.Or(o.Retries, DefaultRetries)
	o.Stall = cmp.Or(o.Stall, DefaultStall)
	o.MaxWait = cmp.Or(o.MaxWait, DefaultMaxWait)
	o.UserAgent = cmp.Or(o.UserAgent, "shibafu")
	return o
}

// Conn is the way to one registry. Its methods may be called at once from many
// goroutines.
type Conn struct {
	origin    Origin
	opts      Options
	transport *http.Transport
	dialer    *dialer
	auth      *authorizer
	broken    atomic.Int64 // when a connection last broke, in nanoseconds since 1970
}

// New is the way to the registry at host: "host" or "host:port", as in a
// reference. Nothing is sent yet.
func New(host string, opts Options) (*Conn, error) {
	opts = opts.withDefaults()
	origin, err := registryOrigin(host, opts.Scheme)
	if err != nil {
		return nil, err
	}
	config, err := tlsConfig(opts)
	if err != nil {
		return nil, err
	}
	c := &Conn{origin: origin, opts: opts, dialer: newDialer(origin.address())}
	c.transport = &http.Transport{
		Proxy:                  c.proxy,
		DialContext:            c.noting(c.dialer.dial),
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    15 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // a digest names the bytes as they were pushed
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		ResponseHeaderTimeout:  5 * time.Minute, // to finish an upload can take a server long
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}
	if opts.Dial != nil {
		c.transport.DialContext, c.transport.Proxy = c.noting(opts.Dial), nil
	}
	c.auth = newAuthorizer(c, host)
	return c, nil
}

// noting is dial whose connections note when they break.
func (c *Conn) noting(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		made, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return conn{made, &c.broken}, nil
	}
}

// Broken is when a connection last ended that we had not ended, be it in use or not;
// the zero time if none did. A server that has waited long enough for a request ends
// them too.
func (c *Conn) Broken() time.Time {
	if n := c.broken.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// tlsConfig is nil where the standard library's own will do.
func tlsConfig(opts Options) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: opts.SkipVerify}
	if opts.CAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(opts.CAFile)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", opts.CAFile)
	}
	config.RootCAs = pool
	return config, nil
}

// proxy is that of the environment. Its address comes from there too, so it may be
// anywhere.
func (c *Conn) proxy(r *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(r)
	if u != nil {
		c.dialer.trust(u)
	}
	return u, err
}

// Origin is that of the registry.
func (c *Conn) Origin() Origin { return c.origin }

// URL is where the registry has p.
func (c *Conn) URL(p endpoint.Path, query url.Values) *url.URL {
	return &url.URL{Scheme: c.origin.Scheme, Host: c.origin.host(), Path: p.String(), RawQuery: query.Encode()}
}

// Close lets go of idle connections.
func (c *Conn) Close() { c.transport.CloseIdleConnections() }
