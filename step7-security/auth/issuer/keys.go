package issuer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/jwt"
)

const (
	// maxAge is how old keys may be before they are asked for again, and stale when they
	// are not believed any more, because the issuer cannot be reached.
	maxAge = time.Hour
	stale  = 24 * time.Hour
	// again is how soon they are asked for once more, whatever tokens name them.
	again = 10 * time.Second
	// patience is how long an issuer has to answer.
	patience = 10 * time.Second
)

// Fetcher gets what a URL leads to: no more than a few hundred kilobytes of it, without
// following it elsewhere, and from the internet or one of the networks of allow.
type Fetcher interface {
	Fetch(ctx context.Context, url string, allow []netip.Prefix) ([]byte, error)
}

// keyring are the keys of an issuer, as they were known last.
type keyring struct {
	load func(ctx context.Context) ([]byte, error)
	good time.Duration // how old keys may be; those in a file are read soon after it changes

	mu     sync.Mutex
	set    jwt.Set
	loaded time.Time // when they were had last
	tried  time.Time
	flight chan struct{} // closed when the attempt under way has ended; nil if there is none
	fault  error         // of the last attempt
}

func newKeyring(c Issuer, fetcher Fetcher) *keyring {
	if c.KeysFile != "" {
		return &keyring{load: func(context.Context) ([]byte, error) { return os.ReadFile(c.KeysFile) }, good: again}
	}
	allow := c.allow()
	return &keyring{load: func(ctx context.Context) ([]byte, error) { return fetcher.Fetch(ctx, c.KeysURL, allow) }, good: maxAge}
}

// verify is that of jwt.Set, with keys that are asked for if they are old or if there is
// none of the token's name.
func (k *keyring) verify(ctx context.Context, token string, want jwt.Want) (jwt.Claims, error) {
	set, age := k.known()
	if age < k.good {
		claims, err := set.Verify(token, want)
		if !errors.Is(err, jwt.ErrUnknownKey) {
			return claims, err
		}
	}
	if err := k.refresh(ctx, age >= stale); err != nil {
		return jwt.Claims{}, err
	}
	set, age = k.known()
	if age >= stale {
		return jwt.Claims{}, fmt.Errorf("%w: %w", auth.ErrUnavailable, k.lastFault())
	}
	return set.Verify(token, want)
}

// known are the keys and how old they are.
func (k *keyring) known() (jwt.Set, time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.loaded.IsZero() {
		return jwt.Set{}, stale
	}
	return k.set, time.Since(k.loaded)
}

func (k *keyring) lastFault() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.fault
}

// refresh asks for the keys, once for all who want them now. If it was done a short time
// ago, it does nothing; if somebody else is at it, it waits only where there is nothing
// without that. Its error is that of ctx.
func (k *keyring) refresh(ctx context.Context, needed bool) error {
	k.mu.Lock()
	if flight := k.flight; flight != nil {
		k.mu.Unlock()
		if !needed {
			return nil
		}
		select {
		case <-flight:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if !k.tried.IsZero() && time.Since(k.tried) < again {
		k.mu.Unlock()
		return nil
	}
	k.tried, k.flight = time.Now(), make(chan struct{})
	k.mu.Unlock()
	k.fetch(context.WithoutCancel(ctx)) // others wait for it, even if this one has left
	return nil
}

// parseKeys reads a JWK set, or a PEM file.
func parseKeys(raw []byte) (jwt.Set, error) {
	if bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
		return jwt.ParseSet(raw)
	}
	return jwt.ParsePEM(raw)
}

func (k *keyring) fetch(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	raw, err := k.load(ctx)
	var set jwt.Set
	if err == nil {
		set, err = parseKeys(raw)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fault = err; err == nil {
		k.set, k.loaded = set, time.Now()
	}
	close(k.flight)
	k.flight = nil
}
