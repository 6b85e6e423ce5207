package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"shibafu.dev/step7-security/outbound"
)

func newTransport(t *testing.T, o outbound.Options) *outbound.Transport {
	t.Helper()
	transport, err := outbound.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// get returns the status and the body.
func get(t *testing.T, transport *outbound.Transport, url string) (int, string, error) {
	t.Helper()
	resp, err := transport.Client(10 * time.Second).Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(raw), err
}

func allow(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// An address is refused when it is connected to, whatever it is called: nothing but
// loopback could be reached from here, and nothing is.
func TestRefused(t *testing.T) {
	var asked atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer inside.Close()
	_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
	resolver := serveNames(t, map[string][]string{
		"localhost.test": {"127.0.0.1"}, "metadata.test": {"169.254.169.254"}, "intranet.test": {"10.1.2.3"}, "mapped.test": {"::ffff:127.0.0.1"},
		// what other resolvers make of these
		"0x7f000001": {"127.0.0.1"}, "0x7f.0x1": {"127.0.0.1"},
	})
	tests := []struct{ name, host, kind string }{
		{"loopback", "127.0.0.1", "loopback"},
		{"any loopback", "127.8.9.1", "loopback"},
		{"loopback of IPv6", "[::1]", "loopback"},
		{"mapped loopback", "[::ffff:127.0.0.1]", "loopback"},
		{"mapped in hex", "[::ffff:7f00:1]", "loopback"},
		{"this machine", "0.0.0.0", "unspecified"},
		{"this machine by IPv6", "[::]", "unspecified"},
		{"this network", "0.1.2.3", "unspecified"},
		{"metadata", "169.254.169.254", "link-local"},
		{"mapped metadata", "[::ffff:169.254.169.254]", "link-local"},
		{"link-local of IPv6", "[fe80::1]", "link-local"},
		{"metadata of IPv6", "[fd00:ec2::254]", "private"},
		{"unique local", "[fc00::1]", "private"},
		{"site-local", "[fec0::1]", "private"},
		{"private 10", "10.0.0.1", "private"},
		{"private 172", "172.31.255.255", "private"},
		{"private 192", "192.168.1.1", "private"},
		{"shared", "100.64.0.1", "shared"},
		{"another cloud's metadata", "100.100.100.200", "shared"},
		{"multicast", "224.0.0.1", "multicast"},
		{"multicast of IPv6", "[ff02::1]", "multicast"},
		{"broadcast", "255.255.255.255", "reserved"},
		{"benchmarks", "198.18.0.1", "reserved"},
		{"documents", "192.0.2.1", "for documents"},
		{"NAT64 of loopback", "[64:ff9b::7f00:1]", "loopback"},
		{"NAT64 of metadata", "[64:ff9b::a9fe:a9fe]", "link-local"},
		{"NAT64 of a network's own", "[64:ff9b:1::a00:1]", "translated"},
		{"6to4 of loopback", "[2002:7f00:1::]", "translated"},
		{"6to4 of 10.0.0.1", "[2002:a00:1::1]", "translated"},
		{"Teredo", "[2001:0:a00:1::f5ff:fffe]", "translated"},
		{"IPv4-compatible", "[::7f00:1]", "translated"},
		{"IPv4-translated", "[::ffff:0:7f00:1]", "translated"},
		{"nobody's", "[4000::1]", "unassigned"},
		{"a name for loopback", "localhost.test", "loopback"},
		{"a name for metadata", "metadata.test", "link-local"},
		{"a name for the intranet", "intranet.test", "private"},
		{"a name for a mapped one", "mapped.test", "loopback"},
		{"hex", "0x7f000001", "loopback"},
		{"hex in parts", "0x7f.0x1", "loopback"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, scheme := range []string{"http", "https"} {
				_, _, err := get(t, newTransport(t, outbound.Options{Resolver: resolver}), scheme+"://"+tt.host+":"+port+"/")
				var refused *outbound.AddressError
				if !errors.Is(err, outbound.ErrAddress) || !errors.As(err, &refused) || refused.Kind != tt.kind {
					t.Errorf("%s: %v; want an address that is %s", scheme, err, tt.kind)
				}
			}
		})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

// Numbers are names to Go and addresses to the resolver of C: either way they lead nowhere.
func TestNumbers(t *testing.T) {
	var asked atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer inside.Close()
	_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
	for _, host := range []string{"2130706433", "017700000001", "0177.0.0.1", "127.1", "0", "0x7f000001", "2852039166"} {
		t.Run(host, func(t *testing.T) {
			resolver := serveNames(t, map[string][]string{host: {"127.0.0.1"}})
			for _, o := range []outbound.Options{{}, {Resolver: resolver}} {
				if status, _, err := get(t, newTransport(t, o), "http://"+host+":"+port); err == nil {
					t.Errorf("answers %d", status)
				}
			}
		})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

// A name that leads elsewhere the next time is looked up, and looked at, each time.
func TestRebinding(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, "hello")
	}))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	transport := newTransport(t, outbound.Options{
		Allow:    allow("127.0.0.1/32"),
		Resolver: serveNames(t, map[string][]string{"rebind.test": {"127.0.0.1", "127.0.0.2"}}),
	})
	url := "http://rebind.test:" + port
	if _, body, err := get(t, transport, url); err != nil || body != "hello" {
		t.Fatalf("the first time: %q, %v", body, err)
	}
	if _, _, err := get(t, transport, url); !errors.Is(err, outbound.ErrAddress) {
		t.Errorf("the second time: %v, want %v", err, outbound.ErrAddress)
	}
}

func TestAllowed(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	defer plain.Close()
	tests := []struct {
		name  string
		allow []netip.Prefix
		url   string
		err   error
	}{
		{"allowed", allow("127.0.0.0/8"), plain.URL, nil},
		{"another is allowed", allow("10.0.0.0/8"), plain.URL, outbound.ErrAddress},
		{"a scheme of files", allow("127.0.0.0/8"), "file:///etc/passwd", outbound.ErrScheme},
		{"no host", allow("127.0.0.0/8"), "http:///", outbound.ErrScheme},
		{"gopher", allow("127.0.0.0/8"), "gopher" + strings.TrimPrefix(plain.URL, "http"), outbound.ErrScheme},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := get(t, newTransport(t, outbound.Options{Allow: tt.allow}), tt.url); !errors.Is(err, tt.err) {
				t.Errorf("%v, want %v", err, tt.err)
			}
		})
	}
}

// Where a redirect leads is for the caller to see.
func TestNoRedirect(t *testing.T) {
	var asked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			server := httptest.NewServer(http.RedirectHandler(other.URL, status))
			defer server.Close()
			got, _, err := get(t, newTransport(t, outbound.Options{Allow: allow("127.0.0.1/32")}), server.URL)
			if err != nil || got != status {
				t.Errorf("%d, %v; want %d", got, err, status)
			}
		})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

func TestBounds(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/exact", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 1000)) })
	mux.HandleFunc("/longer", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 1001)) })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<10)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/header", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<17)) })
	server := httptest.NewServer(mux)
	defer server.Close()
	tests := []struct {
		name, path string
		ok         bool
		err        error
	}{
		{"as much as is read", "/exact", true, nil},
		{"a byte more", "/longer", false, outbound.ErrTooLarge},
		{"no end", "/endless", false, outbound.ErrTooLarge},
		{"a long header", "/header", false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			transport := newTransport(t, outbound.Options{Allow: allow("127.0.0.1/32"), MaxAnswer: 1000})
			_, body, err := get(t, transport, server.URL+tt.path)
			if (err == nil) != tt.ok || tt.err != nil && !errors.Is(err, tt.err) || len(body) > 1000 {
				t.Errorf("%d bytes, %v; want %v", len(body), err, tt.err)
			}
		})
	}
}

// Who takes a connection and says nothing does not keep anybody waiting for ever.
func TestPatience(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	transport := newTransport(t, outbound.Options{Allow: allow("127.0.0.1/32"), Patience: 30 * time.Millisecond})
	for _, scheme := range []string{"http", "https"} {
		r, err := http.NewRequestWithContext(context.Background(), "GET", scheme+"://"+ln.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = transport.RoundTrip(r)
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%s: %v, want a timeout", scheme, err)
		}
	}
}
