package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step6-client/credential"
)

// wellKnown are the token servers of registries that have them on another host.
var wellKnown = map[string]string{
	dockerHub:             "auth.docker.io",
	"registry.gitlab.com": "gitlab.com",
}

const (
	// maxTokenBytes bounds the answer of a token server, and the token in it.
	maxTokenBytes = 256 << 10
	// shortest is how long a token is good for if nobody said, and at least.
	shortest = time.Minute
	longest  = 24 * time.Hour
	clientID = "shibafu"
)

// fetch asks the challenge's token server for a token for the scopes: with the
// credentials if that is a server to be trusted with them, else anonymously.
//
// Source: CNCF distribution, "Token Authentication Specification" and "Oauth2 Token
// Authentication".
func (a *authorizer) fetch(ctx context.Context, challenge Challenge, cred credential.Credential, wanted scopes) (token, error) {
	realm, trusted, err := a.realm(challenge.Params["realm"])
	if err != nil {
		return token{}, err
	}
	withheld := !trusted && cred != credential.Credential{}
	if withheld {
		cred = credential.Credential{}
	}
	r := tokenRequest(realm, challenge.Params["service"], wanted.list(), cred)
	resp, err := a.conn.plain(ctx, r)
	if err != nil {
		return token{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return token{}, refusal(resp, realm.Host, withheld)
	}
	return readToken(resp.Body, wanted)
}

// refusal is what to tell of a token server that gave none.
func refusal(resp *http.Response, host string, withheld bool) error {
	hint := ""
	if withheld {
		hint = "; it got no credentials, as it is not the registry's own: list it as a token server if it is to be trusted with them"
	}
	err := fmt.Errorf("%w: %s answers %d%s", ErrToken, host, resp.StatusCode, hint)
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusBadRequest:
		return fmt.Errorf("%w: %w", ocierr.Unauthorized.With(nil), err)
	}
	return err
}

// realm reads where tokens are to be had. That must be https, unless the registry
// is plain http itself and they are had on its host. trusted tells whether it may see the
// credentials: the registry's own origin, or one that is listed.
func (a *authorizer) realm(text string) (u *url.URL, trusted bool, err error) {
	if u, err = url.Parse(text); err != nil || len(text) > maxLocation {
		return nil, false, fmt.Errorf("%w: realm is not a URL", ErrChallenge)
	}
	o, err := OriginOf(u)
	if err != nil {
		return nil, false, fmt.Errorf("realm: %w", err)
	}
	registry := a.conn.origin
	if o.Scheme == "http" && (registry.Scheme != "http" || registry.Host != o.Host) {
		return nil, false, fmt.Errorf("%w: realm is plain http", ErrOrigin)
	}
	if err := a.conn.dialer.checkHost(o); err != nil {
		return nil, false, fmt.Errorf("realm: %w", err)
	}
	listed := o.Scheme == "https" && (o.host() == wellKnown[registry.Host] || slices.Contains(a.conn.opts.TokenServers, o.host()))
	return u, o == registry || listed, nil
}

// tokenRequest is a GET, or with a refresh token a POST.
func tokenRequest(realm *url.URL, service string, scopes []string, cred credential.Credential) *Request {
	r := &Request{Method: http.MethodGet, Header: http.Header{"Accept": {"application/json"}}, Patience: time.Minute}
	if cred.IdentityToken != "" {
		form := url.Values{"grant_type": {"refresh_token"}, "client_id": {clientID}, "refresh_token": {cred.IdentityToken}}
		if service != "" {
			form.Set("service", service)
		}
		if len(scopes) > 0 {
			form.Set("scope", strings.Join(scopes, " "))
		}
		body := form.Encode()
		r.Method, r.URL, r.Length = http.MethodPost, realm, int64(len(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Body = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
		return r
	}
	query := realm.Query()
	if service != "" {
		query.Set("service", service)
	}
	query["scope"] = append(query["scope"], scopes...)
	if cred.Username != "" {
		query.Set("account", cred.Username)
		r.Header.Set("Authorization", basic(cred))
	}
	u := *realm
	u.RawQuery = query.Encode()
	r.URL = &u
	return r
}

// plain sends a request to a token server, with the credentials that are in it.
// What fails in passing is repeated; a redirect is not followed, whoever it leads
// to.
func (c *Conn) plain(ctx context.Context, r *Request) (*http.Response, error) {
	for n := 1; ; n++ {
		resp, err := c.send(ctx, r, r.URL, r.Header)
		if err == nil && isRedirect(resp) {
			Discard(resp)
			return nil, fmt.Errorf("%w: of a token server", ErrRedirect)
		}
		failed := PassingError(ctx, err) || err == nil && Passing(resp.StatusCode)
		wait, ok := c.Wait(n, resp)
		if !failed || n > c.Retries() || !ok {
			return resp, err
		}
		Discard(resp)
		if err := Sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// readToken reads the answer of a token server.
func readToken(body io.Reader, granted scopes) (token, error) {
	raw, err := io.ReadAll(io.LimitReader(body, maxTokenBytes+1))
	if err != nil {
		return token{}, err
	}
	var answer struct {
		Token       string  `json:"token"`
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"`
	}
	if len(raw) > maxTokenBytes || json.Unmarshal(raw, &answer) != nil {
		return token{}, fmt.Errorf("%w: the answer is not JSON of a fair size", ErrToken)
	}
	text := answer.Token
	if text == "" {
		text = answer.AccessToken
	}
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return token{}, fmt.Errorf("%w: the answer has none that can be sent", ErrToken)
	}
	life := min(max(answer.ExpiresIn, shortest.Seconds()), longest.Seconds())
	return token{text, maps.Clone(granted), time.Now().Add(time.Duration(life) * time.Second)}, nil
}
