// Package tlsconf makes the TLS of a server: certificates from files that may change
// while it runs, certificates for trying out, client certificates; and it says
// whether a server may be open to all.
//
// Reading order: tlsconf.go, certificates.go, selfsigned.go, open.go.
package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// ErrNoCertificate says that no certificate fits what a client speaks.
var ErrNoCertificate = errors.New("tlsconf: no certificate for this client")

// Certificates choose one for each connection, as tls.Config.GetCertificate.
type Certificates interface {
	GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
}

// ClientMode is what is asked of clients.
type ClientMode string

const (
	// ClientNone asks for no certificate.
	ClientNone ClientMode = ""
	// ClientOptional takes clients without a certificate, and none with one that cannot
	// be verified.
	ClientOptional ClientMode = "optional"
	// ClientRequired takes no client without one.
	ClientRequired ClientMode = "required"
)

// ParseClientMode reads "none", "optional" or "required".
func ParseClientMode(s string) (ClientMode, error) {
	switch s {
	case "none":
		return ClientNone, nil
	case string(ClientOptional), string(ClientRequired):
		return ClientMode(s), nil
	}
	return "", fmt.Errorf("%q: want none, optional or required", s)
}

func (m ClientMode) auth() tls.ClientAuthType {
	switch m {
	case ClientOptional:
		return tls.VerifyClientCertIfGiven
	case ClientRequired:
		return tls.RequireAndVerifyClientCert
	}
	return tls.NoClientCert
}

// Server returns the configuration of a server: TLS 1.2 and later, HTTP/2 and
// HTTP/1.1. Where clients are asked for certificates, clientCAs returns who may have
// signed them now; it is asked for each connection, and none goes on with what an
// earlier one agreed on, so a CA that was removed lets nobody in.
func Server(certs Certificates, mode ClientMode, clientCAs func() *x509.CertPool) *tls.Config {
	config := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: certs.GetCertificate,
	}
	if mode == ClientNone {
		return config
	}
	config.ClientAuth = mode.auth()
	config.SessionTicketsDisabled = true
	config.ClientCAs = x509.NewCertPool() // nobody, where none were chosen below
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := config.Clone()
		now.GetConfigForClient = nil
		if cas := clientCAs(); cas != nil { // nil would be all that the system trusts
			now.ClientCAs = cas
		}
		return now, nil
	}
	return config
}
