package wire

import (
	"context"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step6-client/credential"
)

// authorizer remembers how the registry wants to know us, and the tokens that we
// got for it.
type authorizer struct {
	conn *Conn
	host string // by which credentials are kept
	turn chan struct{}

	mu        sync.Mutex
	challenge *Challenge // nil until the registry asked
	tokens    []token

	once  sync.Mutex
	creds map[string]credential.Credential // by place, once they were needed
}

// token is what a token server gave, and for what.
type token struct {
	text    string
	scopes  scopes
	expires time.Time
}

func newAuthorizer(c *Conn, host string) *authorizer {
	a := &authorizer{conn: c, host: host, turn: make(chan struct{}, 1), creds: map[string]credential.Credential{}}
	a.turn <- struct{}{}
	return a
}

// place is what credentials are kept for that requests with such scopes take: the
// repository that is changed, else the first one that is read.
func (a *authorizer) place(wanted scopes) string {
	place := ""
	for _, resource := range slices.Sorted(maps.Keys(wanted)) {
		name, ok := strings.CutPrefix(resource, "repository:")
		if ok && (place == "" || slices.Contains(wanted[resource], string(endpoint.Push))) {
			place = "/" + name
		}
	}
	return a.host + place
}

// maxPlaces is for how many places credentials are remembered.
const maxPlaces = 1024

// credential is asked for once a place: there may be a program behind it.
func (a *authorizer) credential(ctx context.Context, place string) (credential.Credential, error) {
	a.once.Lock()
	defer a.once.Unlock()
	if a.conn.opts.Credentials == nil {
		return credential.Credential{}, nil
	}
	if cred, ok := a.creds[place]; ok {
		return cred, nil
	}
	cred, err := a.conn.opts.Credentials.Credential(ctx, place)
	if err == nil {
		if len(a.creds) == maxPlaces {
			clear(a.creds)
		}
		a.creds[place] = cred
	}
	return cred, err
}

// authorization is the header for a request that needs the scopes, with what is kept
// for place; "" if the registry has not asked for one.
func (a *authorizer) authorization(ctx context.Context, place string, wanted scopes) (string, error) {
	// One at a time: who waits finds the token that the one before has fetched.
	select {
	case <-a.turn:
		defer func() { a.turn <- struct{}{} }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	a.mu.Lock()
	challenge := a.challenge
	text := a.cached(wanted)
	a.mu.Unlock()
	switch {
	case challenge == nil:
		return "", nil
	case text != "" && challenge.Scheme != "basic":
		return "Bearer " + text, nil
	}
	cred, err := a.credential(ctx, place)
	switch {
	case err != nil, challenge.Scheme == "basic" && cred.Username == "":
		return "", err
	case challenge.Scheme == "basic":
		return basic(cred), nil
	case cred.RegistryToken != "":
		return "Bearer " + cred.RegistryToken, nil
	}
	t, err := a.fetch(ctx, *challenge, cred, wanted)
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keep(t)
	return "Bearer " + t.text, nil
}

func basic(c credential.Credential) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
}

// margin is how long before its end a token is used no more.
const margin = 10 * time.Second

// cached is a token that is good for what is wanted. The lock is held.
func (a *authorizer) cached(wanted scopes) string {
	now := time.Now()
	for _, t := range a.tokens {
		if now.Add(margin).Before(t.expires) && t.scopes.covers(wanted) {
			return t.text
		}
	}
	return ""
}

// maxTokens is how many tokens are remembered.
const maxTokens = 64

// keep remembers t, and forgets those that are over or one too many. The lock is
// held.
func (a *authorizer) keep(t token) {
	kept := []token{t}
	for _, old := range a.tokens {
		if len(kept) < maxTokens && time.Now().Before(old.expires) {
			kept = append(kept, old)
		}
	}
	a.tokens = kept
}

// challenged reads why a request was refused that carried used. What the challenge
// wants more is added to wanted. better tells whether to ask again.
func (a *authorizer) challenged(ctx context.Context, place string, values []string, used string, wanted scopes) (better bool, err error) {
	all, err := ParseChallenges(values)
	if err != nil {
		return false, err
	}
	chosen := choose(all)
	if chosen == nil {
		return false, nil
	}
	cred, err := a.credential(ctx, place)
	switch {
	case err != nil && chosen.Scheme == "basic":
		return false, err
	case chosen.Scheme == "basic" && (cred.Username == "" || used == basic(cred)):
		return false, nil
	case cred.RegistryToken != "" && used == "Bearer "+cred.RegistryToken:
		return false, nil
	}
	wanted.addAll(chosen.Params["scope"])
	a.mu.Lock()
	defer a.mu.Unlock()
	a.challenge = chosen
	a.drop(strings.TrimPrefix(used, "Bearer "))
	return true, nil
}

// choose takes the scheme that shows a token rather than a password.
func choose(all []Challenge) *Challenge {
	for _, scheme := range []string{"bearer", "basic"} {
		for i := range all {
			if all[i].Scheme == scheme && (scheme == "basic" || all[i].Params["realm"] != "") {
				return &all[i]
			}
		}
	}
	return nil
}

// drop forgets a token that was refused. The lock is held.
func (a *authorizer) drop(text string) {
	var kept []token
	for _, t := range a.tokens {
		if t.text != text {
			kept = append(kept, t)
		}
	}
	a.tokens = kept
}
