package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
)

// patience is how long a request may take before that is a fault by itself.
const patience = 20 * time.Second

// client asks one registry.
type client struct {
	base string // http://host:port
	http http.Client
}

func newClient(base string) *client {
	return &client{base, http.Client{
		Timeout:   patience,
		Transport: &http.Transport{MaxIdleConnsPerHost: 16},
	}}
}

// close ends the connections.
func (c *client) close() { c.http.CloseIdleConnections() }

// request is what to ask.
type request struct {
	method, path string
	body         []byte
	stream       bool // send the body without saying how long it is
	header       map[string]string
}

func (r request) String() string { return r.method + " " + r.path }

// response is an answer, read to its end.
type response struct {
	status int
	header http.Header
	body   []byte
}

// largest is the largest body that is looked at, in bytes.
const largest = 32 << 20

// send asks, and returns an error if there was no whole answer.
func (c *client) send(ctx context.Context, r request) (response, error) {
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	if r.stream {
		body = struct{ io.Reader }{body} // hides the length
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, body)
	if err != nil {
		return response{}, err
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, largest))
	return response{resp.StatusCode, resp.Header, raw}, err
}

// surprise is an answer that was not to be expected.
type surprise struct {
	asked  request
	answer response
}

func (s *surprise) Error() string {
	return fmt.Sprintf("%v answered %d %.200s", s.asked, s.answer.status, bytes.TrimSpace(s.answer.body))
}

// faultyError says what is wrong with the form of an error response, "" if
// nothing is.
func faultyError(r response) string {
	var body struct {
		Errors []struct{ Code string }
	}
	switch {
	case r.header.Get("Content-Type") != "application/json":
		return "the error is not JSON"
	case json.Unmarshal(r.body, &body) != nil || len(body.Errors) == 0 || body.Errors[0].Code == "":
		return "the error has not the form of the specification"
	case bytes.Contains(r.body, []byte("/")):
		return "the error names a path"
	}
	return ""
}

// read asks for the state of a thing. The bytes of one that is there are held
// against the digest that they were asked or announced by.
func (c *client) read(ctx context.Context, t thing) (value string, raw []byte, err error) {
	path := "/v2/" + t.repo + "/manifests/" + t.name
	if t.kind == "blob" {
		path = "/v2/" + t.repo + "/blobs/" + t.name
	}
	r := request{method: "GET", path: path}
	resp, err := c.send(ctx, r)
	switch {
	case err != nil:
		return "", nil, err
	case resp.status == http.StatusNotFound:
		return absent, nil, nil
	case resp.status != http.StatusOK:
		return "", nil, &surprise{r, resp}
	}
	announced := t.name
	if t.kind == "tag" {
		announced = resp.header.Get("Docker-Content-Digest")
	}
	d, err := digest.Parse(announced)
	if err != nil {
		return "", nil, fmt.Errorf("%v is announced as %q", t, announced)
	}
	if got := d.Algorithm().FromBytes(resp.body); got != d {
		return "", nil, &wrongBytes{t, len(resp.body), got.String(), announced}
	}
	if t.kind == "tag" {
		return announced, resp.body, nil
	}
	return present, resp.body, nil
}

// wrongBytes is the worst of all answers.
type wrongBytes struct {
	thing
	size      int
	got, want string
}

func (w *wrongBytes) Error() string {
	return fmt.Sprintf("WRONG BYTES: %v is served with %d bytes of %s, announced as %s", w.thing, w.size, w.got, w.want)
}
