// Package apitest holds a registry to its API by exchanges: requests as data,
// each with the response that is wanted. They run over any base URL, so one list
// serves a handler under httptest, a program on its port, and a proxy before
// either.
//
// apitest.go has what an exchange is and runs lists of them, check.go compares,
// raw.go sends what no HTTP client would. The lists: pull.go needs only what
// pulls; uploads.go and baduploads.go need upload sessions too; the others a
// whole registry. Every list but Pull's makes the repositories it uses, under
// names and with content that no earlier run has used.
package apitest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"shibafu.dev/step1-spec-notes/ocierr"
)

// Exchange is one request and the response that is wanted for it. In Target,
// Header, Raw and Want, "{word}" stands for what an earlier exchange of the list
// has saved as that word.
type Exchange struct {
	// Name says what is tried, Reason why the response has to be this one.
	Name, Reason string

	// Method and Target are sent as they are written: nothing is cleaned, escaped or
	// encoded. Where a query is added to a saved target that has one, "?" becomes
	// "&".
	Method, Target string
	// Header lines are "Name: value".
	Header []string
	Body   string
	// Chunked sends Body without saying its length.
	Chunked bool
	// Raw, if it is not "", is sent in the place of all these, byte for byte on a
	// connection of its own whose sending side is closed then.
	Raw string
	// Unparsed is for a request so broken that the server answers it before it has
	// understood it, in a text of its own, and ends the connection.
	Unparsed bool

	Status int
	// Code is that of the error body, "" where there is none. Every error must be
	// JSON, and tell nothing of the server's insides.
	Code ocierr.Code
	// Want are the response's headers: the value, or "~" and a regular expression for
	// all of it, or "" for a header that must not be there.
	Want map[string]string
	// WantBody is the exact body, WantJSON what it means as JSON, WantParts the parts
	// of a multipart body. What is empty is not looked at.
	WantBody, WantJSON string
	WantParts          []string
	// Save keeps response headers: by the header's name, the word to save it as. A
	// Location or a Link is saved as the target of a request.
	Save map[string]string
}

// timeout is how long an exchange may take.
const timeout = 30 * time.Second

// Run makes the exchanges in turn, each as a test of its own, with the registry at
// base: "http://host:port", with a path before "/v2/" if it has one.
func Run(t *testing.T, base string, list []Exchange) {
	t.Helper()
	s, err := newSession(base)
	if err != nil {
		t.Fatal(err)
	}
	defer s.transport.CloseIdleConnections()
	for _, e := range list {
		t.Run(e.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			if faults := s.exchange(ctx, e); len(faults) > 0 {
				t.Errorf("%s\n\t%s", e, strings.Join(faults, "\n\t"))
			}
		})
	}
}

// Registry runs all lists against a complete registry without authentication.
func Registry(t *testing.T, base string) {
	t.Helper()
	fixture := NewFixture()
	lists := []struct {
		name string
		list []Exchange
	}{
		{"push fixture", fixture.Push()},
		{"Pull", Pull(fixture)},
		{"Uploads", Uploads()},
		{"Manifests", Manifests()},
		{"Lists", Lists()},
		{"Isolation", Isolation()},
		{"BadPaths", BadPaths()},
		{"BadUploads", BadUploads()},
		{"BadManifests", BadManifests()},
		{"BadInput", BadInput()},
	}
	for _, l := range lists {
		t.Run(l.name, func(t *testing.T) { Run(t, base, l.list) })
	}
}

// String is the request and why it is made.
func (e Exchange) String() string {
	request := e.Method + " " + e.Target
	if e.Raw != "" {
		request = fmt.Sprintf("%.200q", e.Raw)
	}
	if e.Reason != "" {
		request += " (" + e.Reason + ")"
	}
	return request
}

// session is a list under way.
type session struct {
	base      *url.URL
	transport *http.Transport
	saved     map[string]string
}

func newSession(base string) (*session, error) {
	u, err := url.Parse(strings.TrimSuffix(base, "/"))
	if err != nil {
		return nil, err
	}
	// A transport, not a client: it follows no redirects.
	transport := &http.Transport{DisableCompression: true}
	return &session{u, transport, map[string]string{}}, nil
}

// response is what came back, read to its end.
type response struct {
	*http.Response
	body []byte
}

// exchange makes e and returns what is wrong with the response.
func (s *session) exchange(ctx context.Context, e Exchange) []string {
	e, err := s.expand(e)
	if err != nil {
		return []string{err.Error()}
	}
	send := s.send
	if e.Raw != "" {
		send = s.sendRaw
	}
	got, err := send(ctx, e)
	if err != nil {
		return []string{err.Error()}
	}
	faults := check(e, got)
	for header, word := range e.Save {
		value, err := s.target(header, got.Header.Get(header))
		if err != nil {
			faults = append(faults, err.Error())
		}
		s.saved[word] = value
	}
	return faults
}

func (s *session) send(ctx context.Context, e Exchange) (*response, error) {
	r := &http.Request{Method: e.Method, URL: s.url(e.Target), Header: http.Header{}}
	for _, line := range e.Header {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Add(name, value)
		}
	}
	if e.Body != "" {
		r.Body = io.NopCloser(strings.NewReader(e.Body))
		r.ContentLength = int64(len(e.Body))
		if e.Chunked {
			r.ContentLength = -1
		}
	}
	resp, err := s.transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	return read(resp)
}

// url is what net/http sends as target, as it is.
func (s *session) url(target string) *url.URL {
	if target != "*" {
		target = s.base.Path + target
	}
	u := &url.URL{Scheme: s.base.Scheme, Host: s.base.Host, Opaque: target}
	if strings.HasPrefix(target, "//") { // it would take that for a host
		u.Opaque = ""
		u.Path, u.RawQuery, u.ForceQuery = strings.Cut(target, "?")
	}
	return u
}

func read(resp *http.Response) (*response, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return &response{resp, body}, err
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// expand puts what was saved into e.
func (s *session) expand(e Exchange) (Exchange, error) {
	pairs := []string{"{host}", s.base.Host, "{base}", s.base.Path}
	for word, value := range s.saved {
		pairs = append(pairs, "{"+word+"}", value)
	}
	replace := strings.NewReplacer(pairs...).Replace
	e.Target, e.Raw = replace(e.Target), replace(e.Raw)
	if head, query, found := strings.Cut(e.Target, "?"); found {
		e.Target = head + "?" + strings.ReplaceAll(query, "?", "&")
	}
	if word := placeholder.FindString(e.Target + e.Raw); word != "" {
		return e, fmt.Errorf("nothing was saved as %s", word)
	}
	header := make([]string, len(e.Header))
	for i, line := range e.Header {
		header[i] = replace(line)
	}
	want := make(map[string]string, len(e.Want))
	for name, value := range e.Want {
		want[name] = replace(value)
	}
	e.Header, e.Want = header, want
	return e, nil
}

// target makes of a Location or a Link what a later Target can be; other values
// stay as they are.
func (s *session) target(header, value string) (string, error) {
	switch header {
	case "Link":
		link, rest, found := strings.Cut(strings.TrimPrefix(value, "<"), ">")
		if !found || strings.TrimSpace(rest) != `; rel="next"` {
			return "", fmt.Errorf("Link %q leads nowhere", value)
		}
		value = link
	case "Location":
	default:
		return value, nil
	}
	u, err := s.base.Parse(value)
	if err != nil || value == "" {
		return "", fmt.Errorf("%s %q is not a URL", header, value)
	}
	path, found := strings.CutPrefix(u.RequestURI(), s.base.Path)
	if u.Host != s.base.Host || !found {
		return "", fmt.Errorf("%s %q leads away from %s", header, value, s.base)
	}
	return path, nil
}
