package tlsconf

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// The names of a SelfSigned's files in its folder.
const (
	CAFile    = "ca.pem"
	caKeyFile = "ca-key.pem"
)

// How long the certificates of a SelfSigned are valid. A new one is made when a third
// of that is left.
const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 90 * 24 * time.Hour
	// backdated is how far clocks may be apart.
	backdated = time.Hour
)

// SelfSigned is a small CA for trying out, with a certificate for this server. The CA
// is kept in a folder, so that it has to be trusted once; the server's certificate is
// in memory, made anew before it ends.
type SelfSigned struct {
	folder string
	names  []string
	addrs  []net.IP

	mu   sync.Mutex
	ca   *tls.Certificate
	leaf *tls.Certificate
}

// OpenSelfSigned opens the CA in the folder, or makes one there. Its certificate is
// for this machine (localhost and its addresses) and for the hosts, which are names or
// addresses.
func OpenSelfSigned(folder string, hosts ...string) (*SelfSigned, error) {
	s := &SelfSigned{folder: folder, names: []string{"localhost"}, addrs: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			s.addrs = append(s.addrs, ip)
		} else {
			s.names = append(s.names, host)
		}
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	if err := s.openCA(); err != nil {
		return nil, err
	}
	if _, err := s.GetCertificate(nil); err != nil {
		return nil, err
	}
	return s, nil
}

// CA is the file that clients are told to trust.
func (s *SelfSigned) CA() string { return filepath.Join(s.folder, CAFile) }

// GetCertificate implements Certificates.
func (s *SelfSigned) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaf != nil && time.Until(s.leaf.Leaf.NotAfter) > leafLife/3 {
		return s.leaf, nil
	}
	if time.Until(s.ca.Leaf.NotAfter) <= 2*leafLife {
		// Of the same key and name, so who trusts the one before trusts what it signs.
		if err := s.makeCA(s.ca.PrivateKey.(*ecdsa.PrivateKey)); err != nil {
			return nil, err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := template(leafLife)
	template.Subject = pkix.Name{CommonName: s.names[len(s.names)-1]}
	template.DNSNames, template.IPAddresses = s.names, s.addrs
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if s.leaf, err = sign(template, s.ca.Leaf, key, s.ca.PrivateKey.(*ecdsa.PrivateKey)); err != nil {
		return nil, err
	}
	return s.leaf, nil
}

// openCA reads the CA. If its certificate is missing, one is made with the key that is
// there; if that is missing, with a new one.
func (s *SelfSigned) openCA() error {
	key, err := s.caKey()
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(s.CA())
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		certs, err := parseCerts(raw)
		if err != nil {
			return fmt.Errorf("%s: %w", s.CA(), err)
		}
		if !key.PublicKey.Equal(certs[0].PublicKey) {
			return fmt.Errorf("%s is not of the key in %s", s.CA(), caKeyFile)
		}
		s.ca = &tls.Certificate{Certificate: [][]byte{certs[0].Raw}, PrivateKey: key, Leaf: certs[0]}
		return nil
	}
	return s.makeCA(key)
}

func (s *SelfSigned) makeCA(key *ecdsa.PrivateKey) (err error) {
	template := template(caLife)
	host, _ := os.Hostname()
	template.Subject = pkix.Name{CommonName: "shibafu on " + host + ", for trying out"}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign
	if s.ca, err = sign(template, template, key, key); err != nil {
		return err
	}
	return writeFile(s.CA(), 0o644, "CERTIFICATE", s.ca.Certificate[0])
}

func (s *SelfSigned) caKey() (*ecdsa.PrivateKey, error) {
	name := filepath.Join(s.folder, caKeyFile)
	raw, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		return key, writeFile(name, 0o600, "PRIVATE KEY", der)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s: there is no key in it", name)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s: want a PKCS #8 key for ECDSA", name)
	}
	return key, nil
}

func template(life time.Duration) *x509.Certificate {
	now := time.Now()
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) // rand.Reader never fails
	return &x509.Certificate{SerialNumber: serial, NotBefore: now.Add(-backdated), NotAfter: now.Add(life)}
}

// sign makes a certificate for key.
func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*tls.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// writeFile writes a PEM file that is whole and durable when it gets its name.
func writeFile(name string, mode fs.FileMode, kind string, der []byte) error {
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	err = errors.Join(file.Chmod(mode), pem.Encode(file, &pem.Block{Type: kind, Bytes: der}), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(file.Name(), name); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
