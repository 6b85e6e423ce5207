package tlsconf_test

import (
	"errors"
	"net"
	"testing"

	"shibafu.dev/step7-security/tlsconf"
)

func TestMayStart(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 5000} }
	tests := []struct {
		name                 string
		addr                 net.Addr
		authenticated, allow bool
		may                  bool
	}{
		{"loopback", tcp("127.0.0.1"), false, false, true},
		{"another loopback", tcp("127.8.8.8"), false, false, true},
		{"loopback, IPv6", tcp("::1"), false, false, true},
		{"a unix socket", &net.UnixAddr{Name: "/run/x", Net: "unix"}, false, false, true},
		{"all addresses", tcp("0.0.0.0"), false, false, false},
		{"all addresses, IPv6", tcp("::"), false, false, false},
		{"no address", &net.TCPAddr{Port: 5000}, false, false, false},
		{"an address inside", tcp("10.0.0.1"), false, false, false},
		{"link-local", tcp("fe80::1"), false, false, false},
		{"something else", &net.UDPAddr{IP: net.ParseIP("127.0.0.1")}, false, false, false},
		{"with authentication", tcp("0.0.0.0"), true, false, true},
		{"as it was asked for", tcp("0.0.0.0"), false, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tlsconf.MayStart(tt.addr, tt.authenticated, tt.allow); (err == nil) != tt.may || err != nil && !errors.Is(err, tlsconf.ErrOpen) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestParseClientMode(t *testing.T) {
	for text, want := range map[string]tlsconf.ClientMode{"none": tlsconf.ClientNone, "optional": tlsconf.ClientOptional, "required": tlsconf.ClientRequired} {
		if got, err := tlsconf.ParseClientMode(text); err != nil || got != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "Required", "require"} {
		if _, err := tlsconf.ParseClientMode(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
