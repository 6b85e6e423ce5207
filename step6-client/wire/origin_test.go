package wire_test

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"testing"

	"shibafu.dev/step6-client/wire"
)

func TestRegistryOrigin(t *testing.T) {
	for _, tt := range []struct{ name, host, scheme, want string }{
		{"a host", "example.com", "", "https://example.com"},
		{"a port", "example.com:5000", "", "https://example.com:5000"},
		{"the port of https", "example.com:443", "", "https://example.com"},
		{"port 80 is not that of https", "example.com:80", "", "https://example.com:80"},
		{"told to use http", "example.com", "http", "http://example.com"},
		{"localhost", "localhost:5000", "", "http://localhost:5000"},
		{"below localhost", "registry.localhost", "", "http://registry.localhost"},
		{"this machine", "127.0.0.1:5000", "", "http://127.0.0.1:5000"},
		{"this machine, another address", "127.8.8.8", "", "http://127.8.8.8"},
		{"this machine by IPv6", "[::1]:5000", "", "http://[::1]:5000"},
		{"this machine, mapped", "[::ffff:127.0.0.1]:5000", "", "http://[::ffff:127.0.0.1]:5000"},
		{"localhost told to use https", "localhost:5000", "https", "https://localhost:5000"},
		{"a private address", "10.0.0.1:5000", "", "https://10.0.0.1:5000"},
		{"a name that begins like this machine", "127.0.0.1.example.com", "", "https://127.0.0.1.example.com"},
		{"a name that begins like localhost", "localhost.example.com", "", "https://localhost.example.com"},
		{"docker's", "docker.io", "", "https://registry-1.docker.io"},
		{"capitals", "EXAMPLE.com", "", "https://example.com"},
		{"IPv6 on the scheme's port", "[2001:db8::1]", "", "https://[2001:db8::1]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := wire.RegistryOrigin(tt.host, tt.scheme)
			if err != nil || o.String() != tt.want {
				t.Errorf("got %s, %v; want %s", o, err, tt.want)
			}
		})
	}
	for _, host := range []string{"", "a/b", "user@host", "user:pw@host", "host:port", "a b", "host?x", "host#x", "http://host", `ho\st`} {
		t.Run("not "+host, func(t *testing.T) {
			if o, err := wire.RegistryOrigin(host, ""); err == nil {
				t.Errorf("%q is %s", host, o)
			}
		})
	}
}

func TestOriginOf(t *testing.T) {
	same := func(a, b string) bool {
		x, errX := url.Parse(a)
		y, errY := url.Parse(b)
		if errX != nil || errY != nil {
			t.Fatal(errX, errY)
		}
		o, errO := wire.OriginOf(x)
		p, errP := wire.OriginOf(y)
		if errO != nil || errP != nil {
			t.Fatal(errO, errP)
		}
		return o == p
	}
	for _, tt := range []struct {
		name, a, b string
		want       bool
	}{
		{"path", "https://a/b", "https://a/c?d", true},
		{"port that goes without saying", "https://a", "https://a:443", true},
		{"capitals", "https://A", "HTTPS://a", true},
		{"port", "https://a:5000", "https://a:5001", false},
		{"port left out", "http://a:5000", "http://a", false},
		{"scheme", "http://a", "https://a", false},
		{"scheme on one port", "http://a:443", "https://a:443", false},
		{"below", "https://a.b", "https://b", false},
		{"name and address", "http://localhost", "http://127.0.0.1", false},
		{"dot at the end", "https://a.", "https://a", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := same(tt.a, tt.b); got != tt.want {
				t.Errorf("%s and %s: %t", tt.a, tt.b, got)
			}
		})
	}
	for _, text := range []string{"ftp://a", "file:///etc/passwd", "//", "/a", "a", "https:a", "https://", "https://user@a", "https://user:pw@a", "https://@a", "unix:///run/x"} {
		t.Run("refuses "+text, func(t *testing.T) {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if o, err := wire.OriginOf(u); !errors.Is(err, wire.ErrOrigin) {
				t.Errorf("%s is %s, %v", text, o, err)
			}
		})
	}
}

func TestReachOf(t *testing.T) {
	for address, want := range map[string]wire.Reach{
		"8.8.8.8": wire.Public, "2606:4700::1111": wire.Public, "172.15.0.1": wire.Public, "100.63.255.255": wire.Public,
		"10.1.2.3": wire.Private, "172.16.0.1": wire.Private, "172.31.255.255": wire.Private, "192.168.0.1": wire.Private,
		"100.64.0.1": wire.Private, "198.18.0.1": wire.Private, "240.0.0.1": wire.Private, "255.255.255.255": wire.Private, "192.0.0.8": wire.Private,
		"fc00::1": wire.Private, "fd12::1": wire.Private, "0.1.2.3": wire.Private,
		"127.0.0.1": wire.Loopback, "127.255.255.254": wire.Loopback, "::1": wire.Loopback, "0.0.0.0": wire.Loopback, "::": wire.Loopback,
		"169.254.169.254": wire.LinkLocal, "fe80::1": wire.LinkLocal, "fe80::1%eth0": wire.LinkLocal,
		"::ffff:127.0.0.1": wire.Loopback, "::ffff:10.0.0.1": wire.Private, "::ffff:169.254.169.254": wire.LinkLocal, "::ffff:8.8.8.8": wire.Public,
		"64:ff9b::7f00:1": wire.Loopback, "64:ff9b::a9fe:a9fe": wire.LinkLocal, "2002:a00:1::1": wire.Private, "2002:7f00:1::": wire.Loopback,
		"224.0.0.1": wire.Nowhere, "ff02::1": wire.Nowhere,
	} {
		t.Run(address, func(t *testing.T) {
			if got := wire.ReachOf(netip.MustParseAddr(address)); got != want {
				t.Errorf("reach %d, want %d", got, want)
			}
		})
	}
}

// From where the registry was found, others can be reached that are there or further
// out. A name that leads somewhere else each time gains nothing by that.
func TestWhereTo(t *testing.T) {
	const internet, inside, machine, cloud = "8.8.8.8", "10.0.0.1", "127.0.0.1", "169.254.169.254"
	for _, tt := range []struct {
		name  string
		found []string
		want  []string
	}{
		{"not found yet", nil, []string{internet}},
		{"on the internet", []string{internet}, []string{internet}},
		{"inside", []string{inside}, []string{internet, inside}},
		{"on this machine", []string{machine}, []string{internet, inside, machine}},
		{"beside the metadata of a cloud", []string{cloud}, []string{internet, cloud}},
		{"first on the internet, then on this machine", []string{internet, machine}, []string{internet}},
		{"first on this machine, then on the internet", []string{machine, internet}, []string{internet}},
		{"first inside, then on this machine", []string{inside, machine}, []string{internet, inside}},
		{"by no address of a server", []string{"224.0.0.1"}, []string{internet}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := wire.New("registry.test", wire.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, address := range tt.found {
				c.Found(address)
			}
			for _, address := range []string{internet, inside, machine, cloud, "224.0.0.1"} {
				if got := c.Allows(address); got != slices.Contains(tt.want, address) {
					t.Errorf("%s: %t", address, got)
				}
			}
		})
	}
}
