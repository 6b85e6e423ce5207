package api_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step3-api/api"
)

// serveTCP serves h on a port of this machine until the test ends, and returns
// its base URL.
func serveTCP(t *testing.T, h http.Handler, limits api.Limits) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop := serve(t, ln, h, limits)
	t.Cleanup(stop)
	return "http://" + ln.Addr().String()
}

// serve runs api.Serve, and returns what stops it and waits for its end.
func serve(t *testing.T, ln net.Listener, h http.Handler, limits api.Limits) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- api.Serve(ctx, ln, h, limits, quiet) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

// pipes is a listener without a network, so that the time of a test can be made
// up by testing/synctest.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5003} }

// dial returns the client's side of a new connection; net.ErrClosed.
func (p *pipes) dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// client is a connection with what was read from it.
type client struct {
	net.Conn
	r *bufio.Reader
}

func (p *pipes) client(t *testing.T) client {
	t.Helper()
	conn, err := p.dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return client{conn, bufio.NewReader(conn)}
}

// send writes without waiting until it was read.
func (c client) send(text string) { go io.WriteString(c, text) }

// receive reads a response whole.
func (c client) receive(method string) (*http.Response, string, error) {
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// Asked to stop, Serve takes no new connections, lets the request that is under
// way finish, and returns nil.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		release := make(chan struct{})
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-release
			io.WriteString(w, "finished")
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- api.Serve(ctx, ln, h, api.Limits{}, quiet) }()
		c, idle := ln.client(t), ln.client(t)
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		synctest.Wait()
		stop()
		synctest.Wait()
		if _, err := ln.dial(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("dial after stop: %v", err)
		}
		select {
		case err := <-done:
			t.Fatalf("Serve returned %v before the request was done", err)
		case <-time.After(20 * time.Second):
		}
		close(release)
		if resp, body, err := c.receive("GET"); err != nil || body != "finished" || !resp.Close {
			t.Errorf("%q, %v", body, err)
		}
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if _, err := idle.r.ReadByte(); err != io.EOF {
			t.Errorf("a connection without a request: %v", err)
		}
	})
}

// What does not finish in the time that it is given is cut off.
func TestDrainEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		log := new(bytes.Buffer)
		go func() {
			done <- api.Serve(ctx, ln, h, api.Limits{Drain: 7 * time.Second}, slog.New(slog.NewTextHandler(log, nil)))
		}()
		c := ln.client(t)
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		synctest.Wait()
		start := time.Now()
		stop()
		if err := <-done; err != nil || time.Since(start) != 7*time.Second {
			t.Errorf("Serve: %v after %v", err, time.Since(start))
		}
		if _, _, err := c.receive("GET"); err == nil {
			t.Error("the request was answered")
		}
		if !strings.Contains(log.String(), "cut off") {
			t.Errorf("log: %s", log)
		}
	})
}

func TestServeStoppedBeforeItStarts(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := api.Serve(ctx, newPipes(), http.NotFoundHandler(), api.Limits{}, quiet); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// brokenListener fails on its first Accept.
type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, errors.ErrUnsupported }

func TestServeReturnsTheListenersError(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if err := api.Serve(ctx, brokenListener{newPipes()}, http.NotFoundHandler(), api.Limits{}, quiet); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Serve: %v", err)
	}
}

func TestIdleAndSlowHeaders(t *testing.T) {
	for _, tt := range []struct {
		name, sent string
		want       time.Duration
	}{
		{"nothing sent", "", api.DefaultHeader},
		{"half a header", "GET / HTTP/1.1\r\nHos", api.DefaultHeader},
		{"idle after a response", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", api.DefaultIdle},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				c := paced(t, func(w http.ResponseWriter, r *http.Request) {}).client(t)
				c.send(tt.sent)
				io.Copy(io.Discard, c.r)
				if got := time.Since(start).Truncate(time.Second); got != tt.want {
					t.Errorf("closed after %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// HTTP/2 without TLS is spoken where that is set; elsewhere such a client gets no
// answer that it could take for one.
func TestUnencryptedHTTP2(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		url := serveTCP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }),
			api.Limits{UnencryptedHTTP2: allowed})
		for _, two := range []bool{false, true} {
			transport := &http.Transport{Protocols: new(http.Protocols)}
			transport.Protocols.SetHTTP1(!two)
			transport.Protocols.SetUnencryptedHTTP2(two)
			defer transport.CloseIdleConnections()
			resp, err := (&http.Client{Transport: transport}).Get(url)
			if two && !allowed {
				if err == nil {
					t.Errorf("an answer in %s", resp.Proto)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[two]; string(body) != want {
				t.Errorf("%s, want %s", body, want)
			}
		}
	}
}
