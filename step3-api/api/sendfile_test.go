package api_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/pullhttp"
)

// watched is a listener whose connections tell what they are asked to send with
// ReadFrom, the call behind which the kernel sends files.
type watched struct {
	net.Listener
	sent   int64
	faults []string
}

type watchedConn struct {
	*net.TCPConn
	ln *watched
}

func (ln *watched) Accept() (net.Conn, error) {
	c, err := ln.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{c.(*net.TCPConn), ln}, nil
}

func (c *watchedConn) ReadFrom(src io.Reader) (int64, error) {
	limited, ok := src.(*io.LimitedReader)
	fault := ""
	if !ok {
		fault = fmt.Sprintf("%T is sent without a limit", src)
	} else if _, ok := limited.R.(syscall.Conn); !ok {
		fault = fmt.Sprintf("behind one limit there is %T, which is no file", limited.R)
	} else if limited.N > api.Slice {
		fault = fmt.Sprintf("%d bytes are sent at a time", limited.N)
	}
	n, err := c.TCPConn.ReadFrom(src)
	c.ln.sent += n
	if fault != "" {
		c.ln.faults = append(c.ln.faults, fault)
	}
	return n, err
}

// counted is what a middleware makes of a ResponseWriter, as an access log does:
// it passes ReadFrom on and can be unwrapped.
type counted struct {
	http.ResponseWriter
	n int64
}

func (w *counted) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *counted) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.n += int64(n)
	return n, err
}

func (w *counted) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, src)
	w.n += n
	return n, err
}

// A blob is sent by the kernel through all that stands between its file and the
// socket: limits, the mux, middleware, http.ServeContent; whole and in part.
func TestBlobsAreSentByTheKernel(t *testing.T) {
	files, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	store := cas.New(files, cas.Distribution)
	content := strings.Repeat("0123456789abcdef", api.Slice/16*3) + "the end"
	d, _, err := store.Put(t.Context(), strings.NewReader(content), digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	var count int64
	mux := api.NewMux(quiet)
	mux.Use(func(e *endpoint.Endpoint, next api.Handler) api.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			c := &counted{ResponseWriter: w}
			defer func() { count = c.n }()
			return next(c, r)
		}
	})
	pullhttp.RegisterBlobs(mux, pullhttp.Bare{Store: store})
	tests := []struct{ name, ranges, want string }{
		{"whole", "", content},
		{"from the middle", "bytes=100-", content[100:]},
		{"a slice and a byte", fmt.Sprintf("bytes=1-%d", api.Slice+1), content[1 : api.Slice+2]},
		{"little", "bytes=-7", "the end"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tcp, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ln := &watched{Listener: tcp}
			stop := serve(t, ln, mux, api.Limits{})
			if got := get(t, "http://"+ln.Addr().String()+"/v2/a/blobs/"+d.String(), tt.ranges); got != tt.want {
				t.Errorf("got %d bytes, want %d", len(got), len(tt.want))
			}
			stop() // the last bytes arrive before the server knows that it has sent them
			// Before the header has gone net/http copies the first 512 bytes by hand.
			if want := int64(max(len(tt.want)-512, 0)); ln.sent != want || len(ln.faults) > 0 {
				t.Errorf("%d bytes sent as a file, want %d; %q", ln.sent, want, ln.faults)
			}
			if count != int64(len(tt.want)) {
				t.Errorf("the middleware has seen %d bytes of %d", count, len(tt.want))
			}
		})
	}
}

// get returns the body of a response, read to its end, with the connection closed.
func get(t *testing.T, url, ranges string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Close = true; ranges != "" {
		r.Header.Set("Range", ranges)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
