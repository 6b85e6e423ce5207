// Cutter is a proxy that cuts connections: it passes requests on to a server,
// prints each one, and breaks off in the middle of the first response to every
// path whose body is larger than -after.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
)

func main() {
	after := flag.Int64("after", 1<<20, "cut after this many `bytes`")
	flag.Parse()
	if err := run(flag.Arg(0), *after); err != nil {
		fmt.Fprintln(os.Stderr, "cutter:", err)
		os.Exit(1)
	}
}

// run serves a proxy to the server at host:port to.
func run(to string, after int64) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", ln.Addr())
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: to})
	var cut sync.Map // the paths that were
	proxy.ModifyResponse = func(resp *http.Response) error {
		r := resp.Request
		fmt.Printf("%s %s %d range=%q\n", r.Method, r.URL.Path, resp.StatusCode, r.Header.Get("Range"))
		if r.Method != http.MethodGet || resp.ContentLength <= after {
			return nil
		}
		if _, done := cut.LoadOrStore(r.URL.Path, true); !done {
			resp.Body = &short{resp.Body, after}
		}
		return nil
	}
	// A response that breaks off is what this is for.
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	return http.Serve(ln, proxy)
}

// short fails once left bytes have been read.
type short struct {
	io.ReadCloser
	left int64
}

func (s *short) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, errors.New("cut")
	}
	n, err := s.ReadCloser.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, err
}
