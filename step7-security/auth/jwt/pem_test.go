package jwt_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"regexp"
	"slices"
	"testing"
	"time"

	"shibafu.dev/step7-security/auth/jwt"
)

func TestParsePEM(t *testing.T) {
	s := signer(t, jwt.ES256)
	der, err := x509.MarshalPKIXPublicKey(s.Private().Public())
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tokens"}, NotAfter: time.Unix(1, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, s.Private().Public(), s.Private())
	if err != nil {
		t.Fatal(err)
	}
	for kind, raw := range map[string][]byte{"PUBLIC KEY": der, "CERTIFICATE": cert} {
		set, err := jwt.ParsePEM(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}))
		if err != nil || set.Len() != 2 {
			t.Fatalf("%s: %v, %v", kind, set, err)
		}
		if _, err := set.Verify(sign(t, s, good(nil)), want()); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		var doc struct{ Keys []struct{ Kid string } }
		out, err := json.Marshal(set)
		if err != nil || json.Unmarshal(out, &doc) != nil {
			t.Fatal(err)
		}
		libtrust := regexp.MustCompile(`^([A-Z2-7]{4}:){11}[A-Z2-7]{4}$`)
		if !slices.ContainsFunc(doc.Keys, func(k struct{ Kid string }) bool { return libtrust.MatchString(k.Kid) }) {
			t.Errorf("%s: no ID of libtrust in %s", kind, out)
		}
	}
}

func TestParsePEMRefuses(t *testing.T) {
	tests := []struct{ name, text string }{
		{"empty", ""},
		{"no PEM", "x"},
		{"private key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
		{"bad key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if set, err := jwt.ParsePEM([]byte(tt.text)); !errors.Is(err, jwt.ErrKey) {
				t.Errorf("ParsePEM = %v, %v", set, err)
			}
		})
	}
}

// What is read as a set of keys holds only keys that one can verify with, under both of
// their names.
func FuzzParsePEM(f *testing.F) {
	s := signer(f, jwt.EdDSA)
	der, err := x509.MarshalPKIXPublicKey(s.Private().Public())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		set, err := jwt.ParsePEM(raw)
		switch {
		case err != nil && !errors.Is(err, jwt.ErrKey):
			t.Fatal(err)
		case err == nil && (set.Len() < 2 || set.Len()%2 != 0):
			t.Fatalf("%d keys", set.Len())
		}
	})
}
