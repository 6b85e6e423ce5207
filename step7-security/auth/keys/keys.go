// Package keys keeps the keys that a registry signs its tokens with: a folder with a file
// for each, replaced by newer ones in time. The newest signs; the others verify until the
// last token that they may have signed has expired.
package keys

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"shibafu.dev/step7-security/auth/jwt"
	"shibafu.dev/step7-security/internal/durable"
)

// ErrKeys is a folder whose keys cannot be used. It names the file.
var ErrKeys = errors.New("bad signing keys")

// What Options are where they are not set.
const (
	DefaultRotate = 90 * 24 * time.Hour
	DefaultKeep   = 91 * 24 * time.Hour
)

// Options say how keys are made and how long they are used.
type Options struct {
	// Algorithm is that of new keys: EdDSA if it is "", or ES256, which more readers know.
	Algorithm jwt.Algorithm
	// Rotate is how long a key signs; then a new one is made. 0 stands for DefaultRotate.
	Rotate time.Duration
	// Keep is how long a key verifies after it was replaced: as long as the longest token
	// lives, and a while for clocks. 0 stands for DefaultKeep.
	Keep time.Duration
}

// Store are the keys of a folder. Several processes may share one: each sees what the
// others made when it polls.
type Store struct {
	folder string
	opts   Options

	mu     sync.Mutex
	all    []key // the newest first; never empty
	looked time.Time
}

// key is a signer and when it was made, to the second.
type key struct {
	file   string
	made   time.Time
	signer jwt.Signer
}

// Open reads the keys of a folder, which is made if need be (mode 0700), and makes the
// first one. Its errors are ErrKeys and those of the disk.
func Open(folder string, opts Options) (*Store, error) {
	opts.Algorithm = cmp.Or(opts.Algorithm, jwt.EdDSA)
	opts.Rotate = cmp.Or(opts.Rotate, DefaultRotate)
	opts.Keep = cmp.Or(opts.Keep, DefaultKeep)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	s := &Store{folder: folder, opts: opts}
	return s, s.Poll()
}

// Signer is the newest key.
func (s *Store) Signer() jwt.Signer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[0].signer
}

// Set are all keys that verify.
func (s *Store) Set() jwt.Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set()
}

func (s *Store) set() jwt.Set {
	public := make([]jwt.Key, len(s.all))
	for i, k := range s.all {
		public[i] = k.signer.Key()
	}
	return jwt.NewSet(public...)
}

// lookAgain is how soon an unknown key leads to another look at the folder.
const lookAgain = time.Second

// Verify is that of jwt.Set. A key that another process has just made is found.
func (s *Store) Verify(token string, want jwt.Want) (jwt.Claims, error) {
	claims, err := s.Set().Verify(token, want)
	if !errors.Is(err, jwt.ErrUnknownKey) || !s.mayLook() {
		return claims, err
	}
	if s.Poll() != nil {
		return claims, err
	}
	return s.Set().Verify(token, want)
}

func (s *Store) mayLook() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.looked) < lookAgain {
		return false
	}
	s.looked = now
	return true
}

// Poll reads the folder again, makes a new key if it is time, and removes those that
// nothing can need any more. If it fails, the keys stay as they were.
func (s *Store) Poll() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.read()
	if err != nil {
		return err
	}
	if len(all) == 0 || time.Since(all[0].made) >= s.opts.Rotate {
		k, err := s.generate()
		if err != nil {
			return err
		}
		all = append(all, k)
		sortKeys(all)
	}
	s.all = s.retire(all)
	return nil
}

// Watch polls until ctx ends, each interval. What is wrong goes to the log.
func (s *Store) Watch(ctx context.Context, interval time.Duration, log *slog.Logger) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.Poll(); err != nil {
			log.Error("signing keys could not be read; those known before go on to count", "cause", err)
		}
	}
}

// Rotate makes a new key, which signs from now on. The others verify as before.
func (s *Store) Rotate() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.generate()
	if err != nil {
		return err
	}
	s.all = append(s.all, k)
	sortKeys(s.all)
	return nil
}

// retire removes the keys that were replaced so long ago that all they signed is over.
func (s *Store) retire(all []key) []key {
	for i := 1; i < len(all); i++ {
		if time.Since(all[i-1].made) >= s.opts.Keep {
			for _, k := range all[i:] {
				os.Remove(filepath.Join(s.folder, k.file)) // else at the next poll
			}
			return all[:i]
		}
	}
	return all
}

// sortKeys puts the newest first; of two made at once all processes choose the same.
func sortKeys(all []key) {
	slices.SortFunc(all, func(a, b key) int { return cmp.Compare(b.file, a.file) })
}

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
