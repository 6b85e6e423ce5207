package client

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/wire"
)

const (
	// pageSize is what is asked for at once: some registries refuse more.
	pageSize = 1_000
	// maxPages bounds how often a list can lead on to a next page, and maxListBytes
	// how large a page may be.
	maxPages     = 10_000
	maxListBytes = 8 << 20
	// All is a number of entries that no list has.
	All = math.MaxInt
)

// Tags returns up to n tags of a repository that come after the text after, in the
// registry's order, and whether there are more; n may be All. What is not a tag is
// left out. ocierr.NameUnknown. It is a method of repohttp.Tags.
func (c *Client) Tags(ctx context.Context, name ref.Name, after string, n int) (tags []string, more bool, err error) {
	r := c.request(endpoint.ListTags, endpoint.Path{Name: name}, listQuery(after, n))
	return c.list(ctx, endpoint.ListTags, r, n, func(raw []byte) ([]string, error) {
		var page struct {
			Tags []string `json:"tags"`
		}
		err := json.Unmarshal(raw, &page)
		return keep(page.Tags, func(s string) error { _, err := ref.ParseTag(s); return err }), err
	})
}

// Repositories returns up to n names of repositories that come after the text after,
// and whether there are more, as Tags does. It is a method of repohttp.Catalog.
func (c *Client) Repositories(ctx context.Context, after string, n int) (names []string, more bool, err error) {
	r := c.request(endpoint.ListCatalog, endpoint.Path{}, listQuery(after, n))
	return c.list(ctx, endpoint.ListCatalog, r, n, func(raw []byte) ([]string, error) {
		var page struct {
			Repositories []string `json:"repositories"`
		}
		err := json.Unmarshal(raw, &page)
		return keep(page.Repositories, func(s string) error { _, err := ref.ParseName(s); return err }), err
	})
}

func listQuery(after string, n int) url.Values {
	query := url.Values{"n": {strconv.Itoa(min(n, pageSize))}}
	if after != "" {
		query.Set("last", after)
	}
	return query
}

// keep returns the names for which check has no error.
func keep(names []string, check func(string) error) []string {
	kept := []string{}
	for _, s := range names {
		if check(s) == nil {
			kept = append(kept, s)
		}
	}
	return kept
}

// list collects up to n names, page by page. A registry that does not know n sends
// more than it was asked for, and then there are more.
func (c *Client) list(ctx context.Context, e *endpoint.Endpoint, r *wire.Request, n int, parse func([]byte) ([]string, error)) ([]string, bool, error) {
	all := []string{}
	for range maxPages {
		raw, header, next, err := c.page(ctx, e, r)
		if err != nil {
			return nil, false, err
		}
		names, err := parse(raw)
		if err != nil {
			return nil, false, fmt.Errorf("%w: %s: %s", ErrAnswer, describe(r), header.Get("Content-Type"))
		}
		all = append(all, names...)
		switch {
		case len(all) > n, len(all) == n && next != nil:
			return all[:n], n > 0, nil
		case next == nil:
			return all, false, nil
		}
		r.URL, r.Attempts = next, 0
	}
	return nil, false, fmt.Errorf("%w: more than %d pages", ErrTooLarge, maxPages)
}

// page is one page of a list, and the URL of the next one, or nil.
func (c *Client) page(ctx context.Context, e *endpoint.Endpoint, r *wire.Request) ([]byte, http.Header, *url.URL, error) {
	resp, err := c.do(ctx, e, r)
	if err != nil {
		return nil, nil, nil, err
	}
	defer resp.Body.Close()
	raw, err := readBounded(resp, maxListBytes)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", describe(r), err)
	}
	link, err := nextLink(resp.Header.Values("Link"))
	if err != nil || link == "" {
		return raw, resp.Header, nil, err
	}
	next, err := c.conn.SameOrigin(r.URL, link)
	return raw, resp.Header, next, err
}
