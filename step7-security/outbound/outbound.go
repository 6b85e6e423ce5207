// Package outbound is how the registry itself reaches others: whoever somebody has
// configured, or led it to. What it is told to reach may be meant to make it knock at doors
// that only it can reach, such as its own machine, the network inside, or a cloud's
// metadata. So it is the address which is judged, and not the name: when it is connected
// to, after the name was looked up (address.go has which ones are inside).
//
// Nothing is sent through a proxy of the environment, redirects are for the caller to see,
// certificates are always verified, and time and sizes are bounded.
package outbound

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// What the errors of this package are, besides those of the network.
var (
	// ErrAddress is an address that may not be connected to. It is an *AddressError.
	ErrAddress = errors.New("outbound: not an address to connect to")
	// ErrTooLarge is an answer that is longer than is read.
	ErrTooLarge = errors.New("outbound: the answer is too large")
	// ErrScheme is a URL that is neither http nor https, or has no host.
	ErrScheme = errors.New("outbound: neither http nor https")
	// ErrCertificates is a file of authorities without any.
	ErrCertificates = errors.New("outbound: no certificates")
)

// Options are whom one may reach, and for how long. The zero value reaches all of the
// internet by https.
type Options struct {
	// Allow are networks that may be reached though they are inside, and the only ones that
	// are spoken to without TLS.
	Allow []netip.Prefix
	// CAs are certificates as PEM, of authorities that are believed beside the system's.
	CAs []byte
	// Patience is how long an answer may take to begin, 30 s if it is 0; connecting, and
	// agreeing on TLS, may take a third of it each. How long all of it may take is the
	// business of the request's context.
	Patience time.Duration
	// MaxAnswer is how many bytes of an answer are read, 1 MiB if it is 0.
	MaxAnswer int64
	// Resolver looks names up; nil for the system's.
	Resolver *net.Resolver
}

// Transport is a http.RoundTripper.
type Transport struct {
	allow     []netip.Prefix
	dialer    net.Dialer
	maxAnswer int64
	http      *http.Transport
}

const (
	defaultPatience  = 30 * time.Second
	defaultMaxAnswer = 1 << 20
	maxHeader        = 64 << 10
	maxConnections   = 16 // to one host
)

// New returns a transport. Its error is ErrCertificates.
func New(o Options) (*Transport, error) {
	roots, err := authorities(o.CAs)
	if err != nil {
		return nil, err
	}
	patience := cmp.Or(o.Patience, defaultPatience)
	t := &Transport{allow: o.Allow, maxAnswer: cmp.Or(o.MaxAnswer, defaultMaxAnswer)}
	t.dialer = net.Dialer{Timeout: patience / 3, KeepAlive: 15 * time.Second, Resolver: o.Resolver, ControlContext: t.control}
	t.http = &http.Transport{
		Proxy:                  nil, // it would connect for us, to whatever we say
		DialContext:            t.dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    patience / 3,
		ResponseHeaderTimeout:  patience,
		IdleConnTimeout:        time.Minute,
		MaxConnsPerHost:        maxConnections,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true, // what is small here may be large unpacked
		ForceAttemptHTTP2:      true,
	}
	return t, nil
}

// authorities are the system's and those in pem; nil for the system's alone.
func authorities(pem []byte) (*x509.CertPool, error) {
	if len(pem) == 0 {
		return nil, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, ErrCertificates
	}
	return roots, nil
}

type plainKey struct{}

// control sees each address just before it is connected to.
func (t *Transport) control(ctx context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return &AddressError{Kind: "unassigned"}
	}
	_, plain := ctx.Value(plainKey{}).(struct{})
	return check(at.Addr(), t.allow, plain)
}

// RoundTrip implements http.RoundTripper. What an answer has beyond what is read is
// ErrTooLarge where its body is read.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Hostname() == "" || r.URL.Scheme != "http" && r.URL.Scheme != "https" {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, ErrScheme
	}
	if r.URL.Scheme == "http" { // connections are kept by scheme
		r = r.WithContext(context.WithValue(r.Context(), plainKey{}, struct{}{}))
	}
	answer, err := t.http.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = &bounded{answer.Body, t.maxAnswer}
	return answer, nil
}

// CloseIdleConnections closes what is open and not in use.
func (t *Transport) CloseIdleConnections() { t.http.CloseIdleConnections() }

// Client returns a client that follows no redirect: it returns the answer that is one. The
// whole of an exchange may take as long as timeout.
func (t *Transport) Client(timeout time.Duration) *http.Client {
	return &http.Client{Transport: t, Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// bounded is a body of which so many bytes are read.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}
