package keys

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"shibafu.dev/step7-security/auth/jwt"
	"shibafu.dev/step7-security/internal/durable"
)

const (
	// suffix marks the files that are keys; others in the folder are let alone.
	suffix = ".key.pem"
	stamp  = "20060102T150405.000000000Z"
	block  = "PRIVATE KEY" // PKCS #8
	// maxFile and maxFiles bound what is read, in bytes and in number.
	maxFile, maxFiles = 16 << 10, 100
)

func (s *Store) generate() (key, error) {
	signer, err := jwt.Generate(s.opts.Algorithm)
	if err != nil {
		return key{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(signer.Private())
	if err != nil {
		return key{}, err
	}
	made := time.Now().UTC()
	k := key{made.Format(stamp) + "-" + signer.Key().ID()[:8] + suffix, made, signer}
	return k, durable.Write(filepath.Join(s.folder, k.file), pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der}))
}

func (s *Store) read() ([]key, error) {
	entries, err := os.ReadDir(s.folder)
	if err != nil {
		return nil, err
	}
	var all []key
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), suffix) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		k, err := s.readKey(e.Name())
		if errors.Is(err, os.ErrNotExist) { // another process has just removed it
			continue
		}
		if err != nil {
			return nil, err
		}
		if all = append(all, k); len(all) > maxFiles {
			return nil, fmt.Errorf("%w: more than %d of them", ErrKeys, maxFiles)
		}
	}
	sortKeys(all)
	return all, nil
}

// readKey reads a file, which must be nobody's business but its owner's.
func (s *Store) readKey(name string) (key, error) {
	path := filepath.Join(s.folder, name)
	info, err := os.Stat(path)
	if err != nil {
		return key{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return key{}, fmt.Errorf("%w: %s is no file of a fair size", ErrKeys, name)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return key{}, fmt.Errorf("%w: %s can be read by others (want mode 0600)", ErrKeys, name)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return key{}, err
	}
	text, _, _ := strings.Cut(name, "-")
	made, err := time.Parse(stamp, text)
	if err != nil {
		return key{}, fmt.Errorf("%w: the name of %s does not begin with a time", ErrKeys, name)
	}
	signer, err := parseKey(raw)
	if err != nil {
		return key{}, fmt.Errorf("%w: %s holds no private key for Ed25519 or P-256", ErrKeys, name)
	}
	return key{name, made, signer}, nil
}

func parseKey(raw []byte) (jwt.Signer, error) {
	p, _ := pem.Decode(raw)
	if p == nil || p.Type != block {
		return jwt.Signer{}, ErrKeys
	}
	parsed, err := x509.ParsePKCS8PrivateKey(p.Bytes)
	if err != nil {
		return jwt.Signer{}, err
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return jwt.Signer{}, ErrKeys
	}
	return jwt.NewSigner(private)
}
