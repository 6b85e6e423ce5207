package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// client is one that comes from an address. Whose certificate a server has is not what
// is looked at here.
func client(from netip.Addr, keepAlive bool) *http.Client {
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DialContext:        dialer.DialContext,
		DisableKeepAlives:  !keepAlive,
		DisableCompression: true,
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true},
	}}
}

// here is where those come from who mean well.
var here = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// request makes one with a value for Authorization, if that is not "".
func request(method, url, authorization string) *http.Request {
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		panic(err) // no URL of this program's is bad
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return r
}

// status makes a request, reads the answer and returns its status.
func status(c *http.Client, r *http.Request) (int, error) {
	resp, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// times are how long requests took.
type times []time.Duration

// p95 is what 95 of 100 took at most.
func (t times) p95() time.Duration {
	if len(t) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t))
	return sorted[(len(sorted)*95+99)/100-1]
}

func (t times) String() string {
	return fmt.Sprintf("p95 %.1f ms of %d", float64(t.p95().Microseconds())/1000, len(t))
}

// visitor asks for the same again and again.
type visitor struct {
	stop context.CancelFunc
	done chan struct{}
	calm times // before anything else happens
	took times
	err  error
}

// pause is between two requests of a visitor.
const pause = 10 * time.Millisecond

// visit has somebody who means well ask for a manifest until leave is called, over one
// connection and over a new one in turn. It returns when they have asked some times in
// peace.
func (s *server) visit(authorization string) *visitor {
	ctx, stop := context.WithCancel(context.Background())
	v := &visitor{stop: stop, done: make(chan struct{})}
	clients := []*http.Client{client(here, true), client(here, false)}
	ask := func(i int) time.Duration {
		begin := time.Now()
		got, err := status(clients[i%2], request("HEAD", s.url+"/v2/"+repository+"/manifests/"+tag, authorization))
		took := time.Since(begin)
		if err == nil && got != http.StatusOK {
			err = errors.New(http.StatusText(got))
		}
		if err != nil {
			v.err = fmt.Errorf("an honest HEAD after %v: %w", took, err)
		}
		time.Sleep(pause)
		return took
	}
	for i := range 30 {
		v.calm = append(v.calm, ask(i))
	}
	go func() {
		defer close(v.done)
		defer clients[0].CloseIdleConnections()
		for i := 0; ctx.Err() == nil && v.err == nil; i++ {
			v.took = append(v.took, ask(i))
		}
	}()
	return v
}

// busy is how many times longer things may take than in peace, where the machine is so
// busy with something else that the bar is missed in peace almost.
const busy = 4

// leave ends the visit and says what it was like.
func (v *visitor) leave() (times, error) {
	v.stop()
	<-v.done
	if bar := max(headBar, busy*v.calm.p95()); v.err == nil && v.took.p95() > bar {
		v.err = fmt.Errorf("honest HEADs: %v, want %v at most", v.took, bar)
	}
	return v.took, v.err
}
