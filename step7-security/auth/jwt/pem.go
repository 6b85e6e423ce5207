package jwt

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"encoding/pem"
	"fmt"
	"strings"
)

// ParsePEM reads the public keys and certificates of a PEM file, as token servers of
// distribution's kind have them ("rootcertbundle"). Each key has two IDs, as such servers
// write the one or the other: its thumbprint, and that of libtrust. Who signed a
// certificate, and how long it is valid, does not count: it stands for its key. Its errors
// are ErrKey.
func ParsePEM(raw []byte) (Set, error) {
	if len(raw) > maxSet {
		return Set{}, fmt.Errorf("%w: not a PEM file of a fair size", ErrKey)
	}
	s := NewSet()
	for n := 1; ; n++ {
		var block *pem.Block
		if block, raw = pem.Decode(raw); block == nil {
			break
		}
		public, err := parsePublic(block)
		if err != nil {
			return Set{}, fmt.Errorf("%w: block %d holds neither a public key nor a certificate", ErrKey, n)
		}
		for _, id := range []string{"", libtrustID(public)} {
			k, err := NewKey(id, public)
			if err != nil {
				return Set{}, fmt.Errorf("block %d: %w", n, err)
			}
			s.keys[k.id] = k
		}
		if len(s.keys) > maxKeys {
			return Set{}, fmt.Errorf("%w: too many of them", ErrKey)
		}
	}
	if len(s.keys) == 0 {
		return Set{}, fmt.Errorf("%w: not a PEM file", ErrKey)
	}
	return s, nil
}

func parsePublic(block *pem.Block) (crypto.PublicKey, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	}
	return nil, ErrKey
}

// libtrustID is 240 bits of a hash, as twelve groups of letters: "ABCD:EFGH:…".
//
// Source: docker/libtrust, "keyIDFromCryptoKey".
func libtrustID(public crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil { // NewKey says why
		return ""
	}
	sum := sha256.Sum256(der)
	text := base32.StdEncoding.EncodeToString(sum[:30])
	var groups []string
	for ; len(text) > 0; text = text[4:] {
		groups = append(groups, text[:4])
	}
	return strings.Join(groups, ":")
}
