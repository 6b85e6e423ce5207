// Package keys keeps the keys that a registry signs its tokens with: a folder with a file
// for each, replaced by newer ones in time. The newest signs; the others verify until the
// last token that they may have signed has expired. file.go has what is on the disk.
package keys

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"shibafu.dev/step7-security/auth/jwt"
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

// Info is a key as a list shows it.
type Info struct {
	ID        string
	Algorithm jwt.Algorithm
	Made      time.Time
	// Signs is set for the one that signs; the others verify what they have signed.
	Signs bool
}

// List are all keys that verify, the newest first.
func (s *Store) List() []Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Info, len(s.all))
	for i, k := range s.all {
		public := k.signer.Key()
		list[i] = Info{public.ID(), public.Algorithm(), k.made, i == 0}
	}
	return list
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
