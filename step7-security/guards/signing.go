package guards

import (
	"fmt"
	"sync"
	"sync/atomic"

	"shibafu.dev/step7-security/auth/jwt"
	"shibafu.dev/step7-security/auth/keys"
)

// signing are the keys for tokens, which are not there before somebody is asked who they
// are. It is an auth.Keys.
type signing struct {
	folder string
	wanted bool // else none are made
	mu     sync.Mutex
	store  atomic.Pointer[keys.Store]
}

// open opens the keys, if that was not done.
func (s *signing) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store.Load() != nil {
		return nil
	}
	store, err := keys.Open(s.folder, keys.Options{})
	if err == nil {
		s.store.Store(store)
	}
	return err
}

// poll opens the keys, or looks whether others are there by now.
func (s *signing) poll() error {
	if store := s.store.Load(); store != nil {
		return store.Poll()
	}
	return s.open()
}

// Signer is one that signs nothing as long as there are no keys.
func (s *signing) Signer() jwt.Signer {
	if store := s.store.Load(); store != nil {
		return store.Signer()
	}
	return jwt.Signer{}
}

// Verify implements auth.Keys.
func (s *signing) Verify(token string, want jwt.Want) (jwt.Claims, error) {
	if store := s.store.Load(); store != nil {
		return store.Verify(token, want)
	}
	return jwt.Claims{}, fmt.Errorf("%w: they could not be opened", keys.ErrKeys)
}

// set are the keys that verify.
func (s *signing) set() jwt.Set {
	if store := s.store.Load(); store != nil {
		return store.Set()
	}
	return jwt.Set{}
}
