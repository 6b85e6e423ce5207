package authhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"

	"shibafu.dev/step7-security/outbound"
)

// ErrFetch is an answer that holds no keys.
var ErrFetch = errors.New("no keys to be had")

// maxFetch is the longest answer that is read, in bytes.
const maxFetch = 256 << 10

// Fetcher gets the keys of issuers. It is an issuer.Fetcher.
type Fetcher struct {
	transport http.RoundTripper // nil for one of outbound, by what may be reached

	mu       sync.Mutex
	outbound map[string]*outbound.Transport
}

// NewFetcher gets keys by a transport; nil stands for those of package outbound, which
// reach the internet and what an issuer allows. A redirect is not followed: whoever the
// operator named is asked, and nobody else.
func NewFetcher(transport http.RoundTripper) *Fetcher {
	return &Fetcher{transport: transport, outbound: map[string]*outbound.Transport{}}
}

// reaching is a transport that may reach these networks.
func (f *Fetcher) reaching(allow []netip.Prefix) (http.RoundTripper, error) {
	if f.transport != nil {
		return f.transport, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := fmt.Sprint(allow)
	if f.outbound[key] == nil {
		made, err := outbound.New(outbound.Options{Allow: allow})
		if err != nil {
			return nil, err
		}
		f.outbound[key] = made
	}
	return f.outbound[key], nil
}

// Fetch returns what is at a URL. Its errors are ErrFetch, outbound.ErrAddress and those of
// the network.
func (f *Fetcher) Fetch(ctx context.Context, url string, allow []netip.Prefix) ([]byte, error) {
	transport, err := f.reaching(allow)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	resp, err := transport.RoundTrip(r) // which follows nothing
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s answers %d", ErrFetch, url, resp.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxFetch+1))
	if err == nil && len(raw) > maxFetch {
		err = fmt.Errorf("%w: %s answers with more than %d bytes", ErrFetch, url, maxFetch)
	}
	return raw, err
}
