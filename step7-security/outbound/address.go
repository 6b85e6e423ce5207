package outbound

import (
	"fmt"
	"net/netip"
)

// inside are the addresses that lead to this machine, into the network that it is in, to
// many machines or to none, by what they are called.
//
// Source: IANA IPv4 and IPv6 Special-Purpose Address Registries; RFC 6890.
var inside = []struct {
	name     string
	prefixes []netip.Prefix
}{
	{"loopback", prefixes("127.0.0.0/8", "::1/128")},
	{"unspecified", prefixes("0.0.0.0/8", "::/128")}, // systems connect to this machine for these
	{"link-local", prefixes("169.254.0.0/16", "fe80::/10")},
	{"private", prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10")},
	{"shared", prefixes("100.64.0.0/10")},
	{"multicast", prefixes("224.0.0.0/4", "ff00::/8")},
	{"reserved", prefixes("192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4", "100::/64", "2001:2::/48", "5f00::/16")},
	{"for documents", prefixes("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")},
	// Ways to write an IPv4 address that nobody needs to be called by: where they are
	// translated, anything may be behind them.
	{"translated", prefixes("192.88.99.0/24", "::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")},
}

// nat64 is how an IPv6 network writes the addresses of IPv4, so it is as good as what it
// holds. Source: RFC 6052.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// global are the addresses of IPv6 that the internet has, besides nat64.
var global = netip.MustParsePrefix("2000::/3")

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// kindOf says what keeps an address from being one of the internet, "" if nothing does.
func kindOf(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) {
		raw := a.As16()
		return kindOf(netip.AddrFrom4([4]byte(raw[12:])))
	}
	for _, kind := range inside {
		if within(a, kind.prefixes) {
			return kind.name
		}
	}
	if !a.IsValid() || a.Is6() && !global.Contains(a) {
		return "unassigned"
	}
	return ""
}

func within(a netip.Addr, prefixes []netip.Prefix) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// AddressError is an address that nobody has allowed to connect to. It is an ErrAddress.
type AddressError struct {
	Addr netip.Addr
	// Kind is what it is: "loopback", "private", …; "public" where the request was for
	// plain HTTP.
	Kind string
}

// Error names the address and what it is.
func (e *AddressError) Error() string {
	if e.Kind == public {
		return fmt.Sprintf("%v: %s without TLS, which is for networks that are allowed by name", ErrAddress, e.Addr)
	}
	return fmt.Sprintf("%v: %s is %s", ErrAddress, e.Addr, e.Kind)
}

// Is makes errors.Is(e, ErrAddress) true.
func (e *AddressError) Is(target error) bool { return target == ErrAddress }

const public = "public"

// check returns an *AddressError unless one may connect to the address; without TLS only
// to what is allowed.
func check(a netip.Addr, allowed []netip.Prefix, plain bool) error {
	a = a.Unmap().WithZone("")
	if within(a, allowed) {
		return nil
	}
	kind := kindOf(a)
	switch {
	case kind != "":
		return &AddressError{a, kind}
	case plain:
		return &AddressError{a, public}
	}
	return nil
}
