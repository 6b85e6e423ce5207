// Package notifyhttp takes events to their targets by HTTP (sender.go), and tells package
// notify of the requests that they come from (facts.go).
package notifyhttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"shibafu.dev/step7-security/notify"
	"shibafu.dev/step7-security/outbound"
)

// Sender is a notify.Sender. Its methods may be called at once from many goroutines.
type Sender struct {
	agent    string
	resolver *net.Resolver

	mu    sync.Mutex
	lines map[string]*line // by target
}

// line is how a target is reached: each has a transport of its own, as each may reach
// something else.
type line struct {
	allow     []netip.Prefix
	cas       []byte
	transport *outbound.Transport
}

// NewSender returns a sender that says it is agent ("shibafu/1.0").
func NewSender(agent string) *Sender {
	return &Sender{agent: agent, lines: map[string]*line{}}
}

// Close closes the connections that are open and not in use.
func (s *Sender) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		l.transport.CloseIdleConnections()
	}
}

// transport returns that of a target, as the target is now.
func (s *Sender) transport(t *notify.Target) (*outbound.Transport, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lines[t.Name]
	if l != nil && slices.Equal(l.allow, t.Allow) && bytes.Equal(l.cas, t.CAs) {
		return l.transport, nil
	}
	transport, err := outbound.New(outbound.Options{Allow: t.Allow, CAs: t.CAs, MaxAnswer: maxDrained, Resolver: s.resolver})
	if err != nil {
		return nil, err
	}
	if l != nil {
		l.transport.CloseIdleConnections()
	}
	s.lines[t.Name] = &line{t.Allow, t.CAs, transport}
	return transport, nil
}

// maxDrained is how much of an answer is read, and thrown away, to keep its connection.
const maxDrained = 16 << 10

// Send implements notify.Sender: any 2xx is a target that has taken a delivery. Of what it
// answers besides, nothing but the status and Retry-After is looked at.
func (s *Sender) Send(ctx context.Context, d notify.Delivery) error {
	transport, err := s.transport(d.Target)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, string(d.Target.URL), bytes.NewReader(d.Body))
	if err != nil {
		return errors.New("the url is none") // and not shown
	}
	for name, value := range d.Target.Headers {
		r.Header.Set(name, string(value))
	}
	r.Header.Set("Content-Type", d.Target.ContentType)
	r.Header.Set("User-Agent", s.agent)
	if d.Signature != "" {
		r.Header.Set(notify.SignatureHeader, d.Signature)
	}
	answer, err := transport.RoundTrip(r) // which follows no redirect
	if err != nil {
		return reason(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body) // its end changes nothing
	answer.Body.Close()
	return judge(answer)
}

// judge says what a status means.
func judge(answer *http.Response) error {
	e := &notify.SendError{Reason: "answers " + strconv.Itoa(answer.StatusCode), After: retryAfter(answer.Header.Get("Retry-After"))}
	switch status := answer.StatusCode; {
	case status >= 200 && status < 300:
		return nil
	case status >= 300 && status < 400:
		e.Reason += ", and no redirect is followed"
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge,
		status == http.StatusUnsupportedMediaType, status == http.StatusUnprocessableEntity:
		e.Refused = true
	}
	return e
}

// retryAfter reads the header of that name, 0 if it says nothing that has a meaning.
//
// Source: RFC 9110, section 10.2.3.
func retryAfter(text string) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// reason is an error in words that hold nothing of the URL, and nothing that somebody
// answered: what net/http makes of an answer that is none has the answer in it.
func reason(err error) error {
	var (
		address *outbound.AddressError
		name    *net.DNSError
		timeout net.Error
		cert    *tls.CertificateVerificationError
		network *net.OpError
	)
	switch {
	case errors.As(err, &address):
		return address
	case errors.Is(err, context.Canceled), errors.Is(err, outbound.ErrScheme):
		return err
	case errors.As(err, &cert):
		return fmt.Errorf("its certificate is %s", fault(cert))
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("no answer in time")
	case errors.As(err, &name):
		return errors.New("its name cannot be looked up")
	case errors.As(err, &network):
		return fmt.Errorf("%s: %w", network.Op, network.Err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the connection was cut")
	}
	return errors.New("what it answers is not HTTP, or not TLS")
}

// fault says what is wrong with a certificate.
func fault(e *tls.CertificateVerificationError) string {
	var (
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(e, &host):
		return "another's"
	case errors.As(e, &unknown):
		return "of an authority that is not known"
	case errors.As(e, &invalid) && invalid.Reason == x509.Expired:
		return "expired, or not valid yet"
	}
	return "not valid"
}
