package wire

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Request is a request to the registry, or to where it sent us.
type Request struct {
	Method string
	URL    *url.URL
	Header http.Header
	// Body opens the body, anew for each attempt; nil if there is none. Length is its
	// length in bytes, -1 if nobody knows.
	Body   func() (io.ReadCloser, error)
	Length int64
	// Scopes are what a token for the request must be good for.
	Scopes []Scope
	// Once is for a request that is not to be repeated as it is.
	Once bool
	// Patience is how long the answer's body may take to be read, in all; 0 for as
	// long as it moves.
	Patience time.Duration
	// Attempts is how often Do sent it.
	Attempts int
}

// Do sends r and returns the answer, whatever its status; the caller closes its
// body. What fails in passing is repeated, unless it is asked for Once; the last
// failure is returned.
func (c *Conn) Do(ctx context.Context, r *Request) (*http.Response, error) {
	for {
		r.Attempts++
		resp, err := c.authorized(ctx, r)
		failed := PassingError(ctx, err) || err == nil && Passing(resp.StatusCode)
		if !failed || r.Once || r.Attempts > c.Retries() {
			return resp, err
		}
		wait, ok := c.Wait(r.Attempts, resp)
		if !ok {
			return resp, err
		}
		Discard(resp)
		if err := Sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// maxDiscard is how much of an unwanted body is read so that its connection can be
// used again.
const maxDiscard = 16 << 10

// Discard ends a response that nobody wants; nil is none.
func Discard(resp *http.Response) {
	if resp != nil {
		io.CopyN(io.Discard, resp.Body, maxDiscard)
		resp.Body.Close()
	}
}

// authorized sends r with what the registry wants in order to know us, and once more
// with something better if it was not content.
func (c *Conn) authorized(ctx context.Context, r *Request) (*http.Response, error) {
	home, err := OriginOf(r.URL)
	if err != nil {
		return nil, err
	}
	if home != c.origin {
		resp, _, err := c.follow(ctx, r, "")
		return resp, err
	}
	wanted := scopes{}
	for _, s := range r.Scopes {
		wanted.add(s)
	}
	place := c.auth.place(wanted) // by what we want, and not by what a challenge adds
	for again := 0; ; again++ {
		authorization, err := c.auth.authorization(ctx, place, wanted)
		if err != nil {
			return nil, err
		}
		resp, own, err := c.follow(ctx, r, authorization)
		if err != nil || resp.StatusCode != http.StatusUnauthorized || !own || again == 2 {
			return resp, err
		}
		if better, err := c.auth.challenged(ctx, place, resp.Header.Values("Www-Authenticate"), authorization, wanted); !better {
			if err != nil {
				Discard(resp)
				return nil, err
			}
			return resp, nil
		}
		Discard(resp)
	}
}

// maxRedirects is how many redirects one request follows.
const maxRedirects = 5

// follow sends r where it leads. authorization goes to the origin it starts from,
// and is gone for good once that is left. own tells whether the answer is of that
// origin.
func (c *Conn) follow(ctx context.Context, r *Request, authorization string) (resp *http.Response, own bool, err error) {
	at, header := r.URL, r.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if authorization != "" {
		header.Set("Authorization", authorization)
	}
	own = true
	for n := 0; ; n++ {
		resp, err := c.send(ctx, r, at, header)
		if err != nil || !isRedirect(resp) {
			return resp, own, err
		}
		next, err := c.redirect(r.Method, at, resp)
		Discard(resp)
		if err != nil {
			return nil, own, err
		}
		if n == maxRedirects {
			return nil, own, fmt.Errorf("%w: too many in a row", ErrRedirect)
		}
		if !sameOrigin(at, next) {
			own = false
			header.Del("Authorization")
		}
		at = next
	}
}

func isRedirect(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// redirect is where resp sends us. Only what reads may be sent anywhere by any
// redirect; a body goes where it is asked to go without a change of the method.
//
// Source: RFC 9110, section 15.4.
func (c *Conn) redirect(method string, from *url.URL, resp *http.Response) (*url.URL, error) {
	keeps := resp.StatusCode == http.StatusTemporaryRedirect || resp.StatusCode == http.StatusPermanentRedirect
	if method != http.MethodGet && method != http.MethodHead && !keeps {
		return nil, fmt.Errorf("%w: %s answered by %d", ErrRedirect, method, resp.StatusCode)
	}
	return c.Follow(from, resp.Header.Get("Location"))
}

// maxLocation is how long a URL may be that a server sends us to, in bytes.
const maxLocation = 16 << 10

// Follow is where a Location leads that came in an answer from there. It may be
// another origin, which gets no credentials, but none of plain http unless the
// registry is that too (ErrOrigin), and no address that is not public unless the
// registry's is not (ErrAddress).
func (c *Conn) Follow(from *url.URL, location string) (*url.URL, error) {
	if location == "" || len(location) > maxLocation || strings.ContainsAny(location, "\r\n\\") {
		return nil, fmt.Errorf("%w: no Location", ErrRedirect)
	}
	to, err := from.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("%w: Location is not a URL", ErrRedirect)
	}
	o, err := OriginOf(to)
	if err != nil {
		return nil, err
	}
	if o.Scheme == "http" && c.origin.Scheme != "http" {
		return nil, fmt.Errorf("%w: from https to http", ErrOrigin)
	}
	to.Fragment, to.RawFragment = "", ""
	return to, c.dialer.checkHost(o)
}

// SameOrigin is where a reference leads that must not leave the registry
// (ErrOrigin): a Link.
func (c *Conn) SameOrigin(from *url.URL, reference string) (*url.URL, error) {
	to, err := c.Follow(from, reference)
	if err != nil {
		return nil, err
	}
	if o, err := OriginOf(to); err != nil || o != c.origin {
		return nil, ErrOrigin
	}
	return to, nil
}

func sameOrigin(a, b *url.URL) bool {
	x, errX := OriginOf(a)
	y, errY := OriginOf(b)
	return errX == nil && errY == nil && x == y
}

// send makes one request and returns its answer, under a watch that ends with the
// answer's body.
func (c *Conn) send(ctx context.Context, r *Request, at *url.URL, header http.Header) (*http.Response, error) {
	ctx, watch := newWatch(ctx, c.opts.Stall)
	request := (&http.Request{Method: r.Method, URL: at, Host: at.Host, Header: header}).WithContext(ctx)
	header.Set("User-Agent", c.opts.UserAgent)
	if r.Body != nil && r.Length != 0 {
		body, err := r.Body()
		if err != nil {
			watch.end()
			return nil, err
		}
		request.Body, request.ContentLength = sending{body, watch}, r.Length
	} else {
		request.Body = http.NoBody
		watch.rest() // what there is to send is sent, but for connecting, which has its own time
	}
	resp, err := c.transport.RoundTrip(request)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		watch.end()
		return nil, err
	}
	watch.rest()
	watch.within(r.Patience)
	resp.Body = receiving{resp.Body, ctx, watch}
	return resp, nil
}
