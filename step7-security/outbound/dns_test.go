package outbound_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// names is a name server on loopback. A name has a list of addresses, of which each
// question gets the next one; the last one stays.
type names struct {
	conn net.PacketConn

	mu    sync.Mutex
	known map[string][]string
}

func serveNames(t *testing.T, known map[string][]string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{conn: conn, known: known}
	served := make(chan struct{})
	go func() { defer close(served); n.serve() }()
	t.Cleanup(func() { conn.Close(); <-served })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func (n *names) serve() {
	buffer := make([]byte, 1500)
	for {
		size, from, err := n.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		n.conn.WriteTo(n.answer(buffer[:size]), from)
	}
}

const typeA, typeAAAA = 1, 28

// answer makes the answer to a question. Source: RFC 1035, section 4.1.
func (n *names) answer(question []byte) []byte {
	const header = 12
	end := header
	var labels []string
	for question[end] != 0 {
		size := int(question[end])
		labels = append(labels, string(question[end+1:end+1+size]))
		end += 1 + size
	}
	end += 5 // the root, type and class
	a := append([]byte(nil), question[:end]...)
	binary.BigEndian.PutUint16(a[2:], 0x8180) // an answer, recursive, no error
	clear(a[6:header])
	addr, ok := n.next(strings.Join(labels, "."), binary.BigEndian.Uint16(question[end-4:]))
	if !ok {
		return a
	}
	a[7] = 1
	a = append(a, 0xc0, header) // the name that was asked for
	a = append(a, question[end-4:end]...)
	a = append(a, 0, 0, 0, 0, 0, byte(len(addr.AsSlice())))
	return append(a, addr.AsSlice()...)
}

func (n *names) next(name string, kind uint16) (netip.Addr, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for host, addrs := range n.known {
		if name != host && !strings.HasPrefix(name, host+".") { // a machine may have a domain to search in
			continue
		}
		addr := netip.MustParseAddr(addrs[0])
		if addr.Is4() != (kind == typeA) || addr.Is6() != (kind == typeAAAA) {
			return netip.Addr{}, false
		}
		if len(addrs) > 1 {
			n.known[host] = addrs[1:]
		}
		return addr, true
	}
	return netip.Addr{}, false
}
