package authhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"shibafu.dev/step7-security/outbound"
)

// ErrFetch is an answer that holds no keys.
var ErrFetch = errors.New("no keys to be had")

// maxFetch is the longest answer that is read, in bytes.
const maxFetch = 256 << 10

// Fetcher gets the keys of issuers. It is an issuer.Fetcher.
type Fetcher struct{ client *http.Client }

// NewFetcher gets keys by a transport, which is an outbound.Transport that may reach what
// issuer.Reach says; nil stands for one that reaches the internet alone. A redirect is not
// followed: whoever the operator named is asked, and nobody else.
func NewFetcher(transport http.RoundTripper) Fetcher {
	if transport == nil {
		transport, _ = outbound.New(outbound.Options{}) // cannot fail without certificates
	}
	return Fetcher{&http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Fetch returns what is at a URL. Its errors are ErrFetch and those of the network.
func (f Fetcher) Fetch(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	resp, err := f.client.Do(r)
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
