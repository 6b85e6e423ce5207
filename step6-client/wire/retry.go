package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

// The first wait before a repetition, and the longest; each is up to twice the one
// before.
const (
	firstWait = 250 * time.Millisecond
	longWait  = 30 * time.Second
)

// Backoff is how long to wait before the attempt that follows the n-th failure in a
// row (from 1): twice as long each time, and never quite the same for two clients,
// so that those who failed together do not come back together.
func Backoff(n int) time.Duration {
	d := longWait
	if n < 8 {
		d = min(longWait, firstWait<<(n-1))
	}
	return d/2 + rand.N(d/2)
}

// Sleep waits, or returns the reason why ctx ended.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Passing tells whether a status says that the same request may succeed later.
func Passing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// PassingError tells whether an error of Do is the network's, and so may pass: not
// ours, not that of a certificate, not that of a caller who has given up.
func PassingError(ctx context.Context, err error) bool {
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var authority x509.UnknownAuthorityError
	switch {
	case err == nil, ctx.Err() != nil:
		return false
	case errors.Is(err, ErrOrigin), errors.Is(err, ErrAddress), errors.Is(err, ErrRedirect), errors.Is(err, ErrChallenge), errors.Is(err, ErrToken):
		return false
	case errors.As(err, &cert), errors.As(err, &header), errors.As(err, &authority), errors.Is(err, http.ErrSchemeMismatch):
		return false
	case errors.As(err, &dns) && dns.IsNotFound:
		return false
	}
	return true
}

// RetryAfter reads the header of that name; ok is false if there is none that is
// right. A time that has passed is no wait.
//
// Source: RFC 9110, section 10.2.3.
func RetryAfter(h http.Header) (wait time.Duration, ok bool) {
	text := h.Get("Retry-After")
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second, true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	return max(0, time.Until(at)), true
}

// Wait is how long to wait after the n-th failure in a row, of which resp is the
// answer, or nil where there was none; ok is false if the server wants more patience
// than the options have.
func (c *Conn) Wait(n int, resp *http.Response) (wait time.Duration, ok bool) {
	wait = Backoff(n)
	if resp == nil {
		return wait, true
	}
	if asked, said := RetryAfter(resp.Header); said {
		wait = max(wait, asked)
	}
	return wait, wait <= max(c.opts.MaxWait, longWait)
}

// Retries is how often a request is repeated.
func (c *Conn) Retries() int { return max(0, c.opts.Retries) }
