package outbound_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"shibafu.dev/step7-security/outbound"
)

// authority makes certificates for keys of its own.
type authority struct {
	*testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	a := &authority{T: t}
	a.cert, a.key = a.make(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, time.Hour)
	return a
}

// make makes a certificate that is good until then; it signs itself where by is nil.
func (a *authority) make(c *x509.Certificate, by *authority, until time.Duration) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: "test"}
	c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(until)
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		a.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		a.Fatal(err)
	}
	return made, key
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// serve is a server whose certificate is for an address.
func (a *authority) serve(address string, by *authority, until time.Duration, most uint16) (url string) {
	leaf, key := a.make(&x509.Certificate{IPAddresses: []net.IP{net.ParseIP(address)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, by, until)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}, MaxVersion: most}
	s.StartTLS()
	a.Cleanup(s.Close)
	return s.URL
}

func TestCertificates(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	tests := []struct {
		name, address string
		by            *authority
		until         time.Duration
		most          uint16
		cas           []byte
		ok            bool
	}{
		{"of an authority that is given", "127.0.0.1", ours, time.Hour, 0, ours.pem(), true},
		{"of one that is not", "127.0.0.1", theirs, time.Hour, 0, ours.pem(), false},
		{"no authority given", "127.0.0.1", ours, time.Hour, 0, nil, false},
		{"self-signed", "127.0.0.1", nil, time.Hour, 0, ours.pem(), false},
		{"expired", "127.0.0.1", ours, -time.Hour, 0, ours.pem(), false},
		{"another's", "127.0.0.2", ours, time.Hour, 0, ours.pem(), false},
		{"TLS 1.1", "127.0.0.1", ours, time.Hour, tls.VersionTLS11, ours.pem(), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url := ours.serve(tt.address, tt.by, tt.until, tt.most)
			_, body, err := get(t, newTransport(t, outbound.Options{Allow: allow("127.0.0.1/32"), CAs: tt.cas}), url)
			if tt.ok != (err == nil && body == "hello") {
				t.Errorf("%q, %v; want ok: %v", body, err, tt.ok)
			}
		})
	}
	if _, err := outbound.New(outbound.Options{CAs: []byte("none")}); !errors.Is(err, outbound.ErrCertificates) {
		t.Errorf("a file without certificates: %v", err)
	}
}
