package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step6-client/client"
)

// pipes is a listener whose connections are made by dial, without a network, so that
// time can stand still.
type pipes struct {
	made  chan net.Conn
	ended chan struct{}

	mu   sync.Mutex
	open []net.Conn
}

func newPipes() *pipes { return &pipes{made: make(chan net.Conn), ended: make(chan struct{})} }

// cut breaks all connections there are.
func (p *pipes) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.open {
		c.Close()
	}
	p.open = nil
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.ended); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.made <- server:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.open = append(p.open, server)
		return client, nil
	case <-p.ended:
		return nil, errors.New("connection refused")
	}
}

// between is what stands between a client and a registry.
type between func(registry http.Handler) http.Handler

// inBubble runs f in a bubble of its own time, with a client of a registry that has
// something standing before it, and one that reaches it without.
func inBubble(t *testing.T, b between, opts client.Options, f func(t *testing.T, c, direct *client.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		whole := registry(t)
		near, far := startBubble(t, b(whole), opts), startBubble(t, whole, impatient)
		f(t, near, far)
	})
}

// startBubble serves h in a bubble, and returns a client of it. Both end with the
// test.
func startBubble(t *testing.T, h http.Handler, opts client.Options) *client.Client {
	t.Helper()
	return startOn(t, newPipes(), h, opts)
}

// startOn is startBubble over connections that a test can reach.
func startOn(t *testing.T, p *pipes, h http.Handler, opts client.Options) *client.Client {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	go func() { served <- api.Serve(ctx, p, h, api.Limits{Drain: time.Second}, log) }()
	opts.Dial, opts.Scheme = p.dial, "http"
	c := newClient(t, "registry.test", opts)
	t.Cleanup(func() {
		c.Close()
		cancel()
		<-served
		time.Sleep(time.Second) // for which a server holds connections that it ended; it takes no time here
	})
	return c
}

// content is size bytes in which no part is like another.
func content(size int) []byte {
	b := make([]byte, size)
	x := uint32(size) | 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// has checks that the repository has data as a blob.
func has(t *testing.T, c *client.Client, name ref.Name, data []byte) {
	t.Helper()
	o, err := c.OpenBlob(t.Context(), name, digest.FromBytes(data))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if got, err := io.ReadAll(o); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the blob has %d bytes, want %d; %v", len(got), len(data), err)
	}
}
