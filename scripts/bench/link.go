package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
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

// link is a bad line to a server: slow, and at regular times all connections break.
type link struct {
	ln       net.Listener
	to       string
	rate     int64        // bytes a second, in each direction
	up, down atomic.Int64 // bytes that passed to the server, and from it
	quit     chan struct{}

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// newLink opens one to a server. The caller closes it.
func newLink(to string, rate int64, every time.Duration) (*link, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &link{ln: ln, to: to, rate: rate, quit: make(chan struct{}), conns: map[net.Conn]bool{}}
	go l.accept()
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.cut()
			case <-l.quit:
				return
			}
		}
	}()
	return l, nil
}

func (l *link) addr() string { return l.ln.Addr().String() }

func (l *link) close() {
	close(l.quit)
	l.ln.Close()
	l.cut()
}

// cut breaks all connections, with what is under way in them.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		c.Close()
	}
	clear(l.conns)
}

func (l *link) accept() {
	up, down := &pace{rate: l.rate}, &pace{rate: l.rate}
	for {
		near, err := l.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		far, err := net.Dial("tcp", l.to)
		if err != nil {
			near.Close()
			continue
		}
		for _, c := range []net.Conn{near, far} {
			c.(*net.TCPConn).SetReadBuffer(64 << 10) // what lies in buffers has not passed
			c.(*net.TCPConn).SetWriteBuffer(64 << 10)
		}
		l.mu.Lock()
		l.conns[near], l.conns[far] = true, true
		l.mu.Unlock()
		go l.pass(far, near, up, &l.up)
		go l.pass(near, far, down, &l.down)
	}
}

// pass carries bytes in one direction.
func (l *link) pass(to, from net.Conn, p *pace, count *atomic.Int64) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		p.wait(n)
		if n > 0 {
			count.Add(int64(n))
			if _, err := to.Write(buffer[:n]); err != nil {
				from.Close()
				return
			}
		}
		if err == io.EOF {
			to.(*net.TCPConn).CloseWrite()
			return
		}
		if err != nil {
			to.Close()
			return
		}
	}
}

// pace lets so many bytes a second pass.
type pace struct {
	rate int64

	mu   sync.Mutex
	free time.Time // when the line is free again
}

func (p *pace) wait(n int) {
	p.mu.Lock()
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(int64(n) * int64(time.Second) / p.rate))
	until := p.free
	p.mu.Unlock()
	time.Sleep(time.Until(until))
}
