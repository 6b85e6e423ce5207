package container_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"shibafu.dev/shibafu/internal/container"
)

// free is a port that nobody listens at.
func free(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

// published runs a server at an address of the container, and returns that of this
// machine which leads to it.
func (w *world) published(listen string, port uint16) (address string, finish func() result) {
	w.t.Helper()
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), free(w.t))
	ready := newLines()
	spec := container.Spec{Ports: []container.Port{{Host: at, Container: port}}}
	finish = w.startWriting(ready, image(w.t), spec, "/probe", "server", listen)
	if line := ready.next(); line != "listening" {
		w.t.Fatalf("%q", line)
	}
	return at.String(), finish
}

// exchange says something, ends, and returns what is said until the other side ends.
func exchange(address, text string) (string, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	raw, err := io.ReadAll(c)
	return string(raw), err
}

func TestPorts(t *testing.T) {
	w := newWorld(t)
	for _, listen := range []string{"0.0.0.0:80", "127.0.0.1:80", "[::1]:80"} {
		t.Run(listen, func(t *testing.T) {
			address, finish := w.published(listen, 80)
			long := strings.Repeat("long ", 1<<18)
			for _, text := range []string{"", "short", long} { // each ends one way before the other
				if got, err := exchange(address, text); got != text || err != nil {
					t.Errorf("%d bytes, want %d, %v", len(got), len(text), err)
				}
			}
			atOnce(50, 4, func(n int) {
				text := fmt.Sprint("connection ", n)
				if got, err := exchange(address, text); got != text || err != nil {
					t.Errorf("%q, want %q, %v", got, text, err)
				}
			})
			if r := finish(); r.code != 0 || r.err != nil {
				t.Errorf("code %d, %v", r.code, r.err)
			}
			if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// A port at which nobody listens in the container refuses, and the next one works.
func TestPortIsRefused(t *testing.T) {
	w := newWorld(t)
	address, finish := w.published("127.0.0.1:81", 80)
	for range 3 {
		if got, err := exchange(address, "x"); err == nil || got != "" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if r := finish(); r.err != nil {
		t.Error(r.err)
	}
}

// Connections end with the container.
func TestContainerEndsWhileConnected(t *testing.T) {
	w := newWorld(t)
	address, finish := w.published("127.0.0.1:80", 80)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echo := make([]byte, 1)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, echo); err != nil {
		t.Fatal(err)
	}
	if r := finish(); r.err != nil {
		t.Error(r.err)
	}
	if n, err := c.Read(echo); err == nil {
		t.Errorf("%d bytes came", n)
	}
}

// All ports are had, or none, and the container does not start.
func TestPortIsTaken(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	first := container.Port{Host: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), free(t)), Container: 80}
	taken := container.Port{Host: netip.MustParseAddrPort(l.Addr().String()), Container: 80}
	r := w.run(image(t), container.Spec{Ports: []container.Port{first, taken}}, "/probe", "exit", "0")
	if r.code != container.CodeFailed || !errors.Is(r.err, syscall.EADDRINUSE) {
		t.Errorf("code %d, %v", r.code, r.err)
	}
	again, err := net.Listen("tcp", first.Host.String())
	if err != nil {
		t.Error(err)
	} else {
		again.Close()
	}
}

// Who publishes at all addresses of IPv4 does not publish at those of IPv6.
func TestPortFamily(t *testing.T) {
	w := newWorld(t)
	at := netip.AddrPortFrom(netip.IPv4Unspecified(), free(t))
	finish := w.start(image(t), container.Spec{Ports: []container.Port{{Host: at, Container: 80}}}, "/probe", "wait")
	if c, err := net.Dial("tcp", fmt.Sprintf("[::1]:%d", at.Port())); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v, %v", c, err)
	}
	if r := finish(); r.err != nil {
		t.Error(r.err)
	}
}
