package tlsconf_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step7-security/tlsconf"
)

// trusts is a client that trusts a CA as it is in its file now.
func trusts(t *testing.T, s *tlsconf.SelfSigned, name string) *tls.Config {
	t.Helper()
	raw, err := os.ReadFile(s.CA())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(raw) {
		t.Fatalf("no certificate in %s", raw)
	}
	return &tls.Config{RootCAs: pool, ServerName: name}
}

func TestSelfSigned(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "tls")
	s, err := tlsconf.OpenSelfSigned(folder, "r.example", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	client := trusts(t, s, "")
	for name, valid := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "::1": true, "r.example": true, "192.0.2.1": true, "other.example": false, "192.0.2.2": false,
	} {
		client.ServerName = name
		if _, _, err := shake(t, tlsconf.Server(s, tlsconf.ClientNone, noCAs), client); (err == nil) != valid {
			t.Errorf("for %s: %v", name, err)
		}
	}
	// The CA stays as it is, for other hosts too.
	if s, err = tlsconf.OpenSelfSigned(folder, "other.example"); err != nil {
		t.Fatal(err)
	}
	client.ServerName = "other.example"
	if _, _, err := shake(t, tlsconf.Server(s, tlsconf.ClientNone, noCAs), client); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	key, err := os.Stat(filepath.Join(folder, "ca-key.pem"))
	if err != nil || key.Mode().Perm() != 0o600 {
		t.Errorf("the CA's key: %v, %v", key.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*")); len(left) != 2 {
		t.Errorf("in the folder: %q", left)
	}
}

// While a server runs, its certificate is made anew before it ends, and who has
// trusted the CA once trusts it for all of the CA's time.
func TestSelfSignedRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := tlsconf.OpenSelfSigned(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		client := trusts(t, s, "localhost")
		made := map[string]bool{}
		for range 10 * 12 {
			cert, err := s.GetCertificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: client.RootCAs, DNSName: "localhost", CurrentTime: time.Now()}); err != nil {
				t.Fatalf("after %v: %v", time.Now(), err)
			}
			if time.Until(cert.Leaf.NotAfter) < 29*24*time.Hour {
				t.Errorf("it ends within %v", time.Until(cert.Leaf.NotAfter))
			}
			made[cert.Leaf.SerialNumber.String()] = true
			time.Sleep(30 * 24 * time.Hour)
		}
		if len(made) < 40 || len(made) > 60 {
			t.Errorf("%d certificates in ten years", len(made))
		}
		time.Sleep(365 * 24 * time.Hour)
		cert, err := s.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: trusts(t, s, "").RootCAs, DNSName: "localhost", CurrentTime: time.Now()}); err != nil {
			t.Errorf("with the CA's next certificate: %v", err)
		}
	})
}

func TestSelfSignedRefuses(t *testing.T) {
	tests := []struct {
		name, file, content string
		fails               bool
	}{
		{"no certificate", "ca.pem", "", false},
		{"a damaged certificate", "ca.pem", "x", true},
		{"a damaged key", "ca-key.pem", "x", true},
		{"no key", "ca-key.pem", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			if _, err := tlsconf.OpenSelfSigned(folder); err != nil {
				t.Fatal(err)
			}
			if name := filepath.Join(folder, tt.file); tt.content == "" {
				os.Remove(name)
			} else {
				write(t, name, []byte(tt.content))
			}
			if _, err := tlsconf.OpenSelfSigned(folder); (err != nil) != tt.fails {
				t.Errorf("%v", err)
			}
		})
	}
}
