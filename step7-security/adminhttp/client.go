package adminhttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step7-security/admin"
	"shibafu.dev/step7-security/socket"
)

// maxAnswer bounds what a client reads, in bytes.
const maxAnswer = 64 << 20

// Client uses the API.
type Client struct {
	// Transport reaches the API: OverSocket, or InProcess.
	Transport http.RoundTripper
}

// Path puts a path together from its parts, whatever they hold.
func Path(parts ...string) string {
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = url.PathEscape(p)
	}
	return strings.Join(escaped, "/")
}

// Do asks for a path below Prefix. in is sent as JSON unless it is nil, and the answer is
// read into out unless that is nil. Errors of the API are *ocierr.Error.
func (c Client) Do(ctx context.Context, method, path string, in, out any) error {
	if in == nil {
		return c.do(ctx, method, path, nil, nil, out)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return c.do(ctx, method, path, nil, body, out)
}

// ReplaceRules puts rules in the place of those that have the hash was; "" if there are
// none.
func (c Client) ReplaceRules(ctx context.Context, text []byte, was string) (answer admin.Text, err error) {
	header := http.Header{"If-None-Match": {"*"}}
	if was != "" {
		header = http.Header{"If-Match": {`"` + was + `"`}}
	}
	return answer, c.do(ctx, http.MethodPut, "policy", header, text, &answer)
}

func (c Client) do(ctx context.Context, method, path string, header http.Header, body []byte, out any) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://shibafu"+Prefix+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.Transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	switch {
	case err != nil:
		return err
	case answer.StatusCode >= 300:
		return failure(answer.StatusCode, raw)
	case out == nil:
		return nil
	}
	return json.Unmarshal(raw, out)
}

// failure is the error that an answer tells of.
func failure(status int, raw []byte) error {
	var body ocierr.Body
	if json.Unmarshal(raw, &body) != nil || len(body.Errors) == 0 {
		return fmt.Errorf("the server answers with status %d", status)
	}
	e := body.Errors[0]
	e.Status = status
	return &e
}

// OverSocket reaches the server that listens on the unix socket at path. Where there is
// none, its error is socket.ErrNobody.
func OverSocket(path string) *http.Transport {
	return &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return socket.Dial(ctx, path) },
		DisableKeepAlives: true,
		// A change may take as long as a disk does.
		ResponseHeaderTimeout: time.Minute,
	}
}

// InProcess reaches a handler in this process.
func InProcess(h http.Handler) http.RoundTripper { return inProcess{h} }

type inProcess struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	in.Host, in.RequestURI = r.URL.Host, r.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	out := &recorder{header: http.Header{}}
	t.handler.ServeHTTP(out, in)
	if out.status == 0 {
		return nil, errors.New("the handler did not answer")
	}
	return &http.Response{
		Status: http.StatusText(out.status), StatusCode: out.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: out.header, Body: io.NopCloser(&out.body), ContentLength: int64(out.body.Len()), Request: r,
	}, nil
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}
