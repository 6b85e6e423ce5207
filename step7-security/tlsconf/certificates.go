package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"shibafu.dev/step7-security/watch"
)

// Pair names the files of a certificate: its chain, the server's own first, and its
// key, both PEM.
type Pair struct{ Cert, Key string }

// Files are certificates that are kept in files. Poll and Reload, of the embedded
// watch.Files, take over what was changed; where the new ones are bad, the ones before
// stay.
type Files struct{ *watch.Files[*set] }

// set is some certificates, by the names that they are for.
type set struct {
	all    []*tls.Certificate
	byName map[string][]*tls.Certificate // in lower case; also "*.example.com"
}

// OpenFiles reads certificates. The first one is for clients that ask for no name, or
// for one that no certificate has. If two have a name, the first that the client can
// use is taken: so there may be one with an RSA key beside one with ECDSA.
func OpenFiles(pairs ...Pair) (*Files, error) {
	if len(pairs) == 0 {
		return nil, errors.New("tlsconf: no certificate")
	}
	var names []string
	for _, p := range pairs {
		names = append(names, p.Cert, p.Key)
	}
	files, err := watch.Open(func(contents [][]byte) (*set, error) { return newSet(pairs, contents) }, names...)
	if err != nil {
		return nil, err
	}
	return &Files{files}, nil
}

func newSet(pairs []Pair, contents [][]byte) (*set, error) {
	s := &set{byName: map[string][]*tls.Certificate{}}
	for i, p := range pairs {
		cert, err := tls.X509KeyPair(contents[2*i], contents[2*i+1])
		if err != nil {
			return nil, fmt.Errorf("certificate %s with key %s: %w", p.Cert, p.Key, err)
		}
		s.add(&cert)
	}
	return s, nil
}

func (s *set) add(cert *tls.Certificate) {
	s.all = append(s.all, cert)
	names := cert.Leaf.DNSNames
	for _, ip := range cert.Leaf.IPAddresses {
		names = append(names, ip.String())
	}
	for _, name := range names {
		name = strings.ToLower(name)
		s.byName[name] = append(s.byName[name], cert)
	}
}

// choose returns the certificate for a client: one of that very name, one for all
// names beside it, the first.
func (s *set) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	_, parent, _ := strings.Cut(name, ".")
	for _, list := range [][]*tls.Certificate{s.byName[name], s.byName["*."+parent]} {
		for _, cert := range list {
			if hello.SupportsCertificate(cert) == nil {
				return cert, nil
			}
		}
	}
	for _, cert := range s.all {
		anyName := *hello
		anyName.ServerName = ""
		if anyName.SupportsCertificate(cert) == nil {
			return cert, nil
		}
	}
	return nil, ErrNoCertificate
}

// GetCertificate implements Certificates.
func (f *Files) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.Current().choose(hello)
}

// Expiry is when the first of the certificates ends.
func (f *Files) Expiry() time.Time {
	var first time.Time
	for _, cert := range f.Current().all {
		if end := cert.Leaf.NotAfter; first.IsZero() || end.Before(first) {
			first = end
		}
	}
	return first
}

// OpenPool reads the certificates of CAs from PEM files.
func OpenPool(names ...string) (*watch.Files[*x509.CertPool], error) {
	return watch.Open(func(contents [][]byte) (*x509.CertPool, error) {
		pool := x509.NewCertPool()
		for i, raw := range contents {
			certs, err := parseCerts(raw)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", names[i], err)
			}
			for _, cert := range certs {
				pool.AddCert(cert)
			}
		}
		return pool, nil
	}, names...)
}

// parseCerts reads PEM with one certificate or more, and nothing else in it that
// could be a slip.
func parseCerts(raw []byte) (certs []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, raw = pem.Decode(raw); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("there is a %q among the certificates", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("there is no certificate in it")
	}
	return certs, nil
}
