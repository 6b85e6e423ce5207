package outbound

import (
	"errors"
	"net/netip"
	"testing"
)

// What is decided on an address, where none need be connected to.
func TestCheck(t *testing.T) {
	ten := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	tests := []struct {
		name, addr string
		allowed    []netip.Prefix
		plain      bool
		want       string // the kind of what is refused
	}{
		{"the internet", "1.1.1.1", nil, false, ""},
		{"the internet by IPv6", "2606:4700::1111", nil, false, ""},
		{"the internet, mapped", "::ffff:1.1.1.1", nil, false, ""},
		{"the internet by NAT64", "64:ff9b::101:101", nil, false, ""},
		{"the internet without TLS", "1.1.1.1", nil, true, public},
		{"the internet by IPv6, without TLS", "2606:4700::1111", ten, true, public},
		{"allowed", "10.1.2.3", ten, false, ""},
		{"allowed, without TLS", "10.1.2.3", ten, true, ""},
		{"allowed, mapped", "::ffff:10.1.2.3", ten, false, ""},
		{"allowed is not what is translated to it", "64:ff9b::a01:203", ten, false, "private"},
		{"mapped loopback", "::ffff:127.0.0.1", nil, false, "loopback"},
		{"mapped metadata", "::ffff:169.254.169.254", nil, false, "link-local"},
		{"with a zone", "fe80::1%eth0", nil, false, "link-local"},
		{"beside what is private", "172.32.0.1", nil, false, ""},
		{"before what is shared", "100.63.255.255", nil, false, ""},
		{"6to4 of the internet", "2002:101:101::1", nil, false, "translated"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := check(netip.MustParseAddr(tt.addr), tt.allowed, tt.plain)
			var refused *AddressError
			if got := errors.As(err, &refused); got != (tt.want != "") || got && refused.Kind != tt.want {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	if err := check(netip.Addr{}, nil, false); !errors.Is(err, ErrAddress) {
		t.Errorf("no address: %v", err)
	}
}

// The environment's proxy is not used for loopback anyway, which is all that tests reach.
func TestNoProxy(t *testing.T) {
	transport, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if transport.http.Proxy != nil {
		t.Error("a proxy may connect for us")
	}
}
