package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
)

// countRequests has f, called so many times, speak to the server at addr through a
// proxy, and returns how many requests each call made.
func countRequests(addr string, f func(addr string) error, times int) ([]int64, error) {
	var n atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	defer server.Close()
	var counts []int64
	for range times {
		n.Store(0)
		if err := f(server.Listener.Addr().String()); err != nil {
			return counts, err
		}
		counts = append(counts, n.Load())
	}
	return counts, nil
}

var _ = fmt.Sprint
var _ = io.EOF
