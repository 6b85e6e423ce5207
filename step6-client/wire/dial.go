package wire

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"
)

// reach is from where an address can be reached, and so what may hide behind it.
type reach int

const (
	public reach = iota
	private
	loopback
	linkLocal // where clouds keep their instances' credentials
	nowhere   // no address of a server
)

// special are private ranges that package netip has no word for.
//
// Source: IANA IPv4 and IPv6 Special-Purpose Address Registries.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
}

// translated are the ranges of IPv6 whose last or second part is an IPv4 address:
// NAT64 and 6to4.
var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96")
	sixTo4 = netip.MustParsePrefix("2002::/16")
)

func reachOf(ip netip.Addr) reach {
	ip = ip.Unmap().WithZone("")
	switch raw := ip.As16(); {
	case nat64.Contains(ip):
		return reachOf(netip.AddrFrom4([4]byte(raw[12:16])))
	case sixTo4.Contains(ip):
		return reachOf(netip.AddrFrom4([4]byte(raw[2:6])))
	case ip.IsLoopback(), ip.IsUnspecified(): // systems connect to this machine for 0.0.0.0 and ::
		return loopback
	case ip.IsLinkLocalUnicast():
		return linkLocal
	case ip.IsMulticast(), !ip.IsValid():
		return nowhere
	case ip.IsPrivate():
		return private
	}
	for _, p := range special {
		if p.Contains(ip) {
			return private
		}
	}
	return public
}

// dialer connects to the registry wherever it is, and to others only where the
// registry itself could be reached from: one on the internet sends nobody to
// addresses inside.
type dialer struct {
	home string                 // the registry's "host:port"
	look func(netip.Addr) reach // at the registry's address: reachOf

	mu      sync.Mutex
	known   bool
	at      reach // where the registry was found; public until it is known
	proxies map[string]bool
}

func newDialer(home string) *dialer {
	return &dialer{home: home, look: reachOf, proxies: map[string]bool{}}
}

// trust lets connections to a proxy pass.
func (d *dialer) trust(proxy *url.URL) {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"https": "443", "socks5": "1080", "socks5h": "1080"}[proxy.Scheme]
	}
	if port == "" {
		port = "80"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.proxies[net.JoinHostPort(proxy.Hostname(), port)] = true
}

// dial connects to addr. Names are looked up here, and it is the address that came
// of it which is checked, just before it is used.
func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d.mu.Lock()
	own, proxy := addr == d.home, d.proxies[addr]
	d.mu.Unlock()
	dialer := net.Dialer{Timeout: 30 * time.Second, KeepAlive: 15 * time.Second}
	if !own && !proxy {
		dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return d.check(address)
		}
	}
	made, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if own {
		d.found(made.RemoteAddr())
	}
	return made, nil
}

// found notes where the registry is. One that was ever found on the internet stays
// there: its name may lead elsewhere the next time, just to be trusted with more.
func (d *dialer) found(addr net.Addr) {
	ip, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.look(ip.Addr()); !d.known || r == public {
		d.known, d.at = true, r
	}
}

// check returns ErrAddress unless one may be sent to address.
func (d *dialer) check(address string) error {
	ip, err := netip.ParseAddrPort(address)
	if err != nil || !d.allows(reachOf(ip.Addr())) {
		return fmt.Errorf("%w: %s", ErrAddress, address)
	}
	return nil
}

func (d *dialer) allows(r reach) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return r == public || r == d.at && r != nowhere || r == private && d.at == loopback
}

// checkHost is check for a URL's host that is an address as it stands. It is for
// connections that a proxy makes, and for a clearer error.
func (d *dialer) checkHost(o Origin) error {
	ip, err := netip.ParseAddr(o.Host)
	if err != nil || o.address() == d.home {
		return nil
	}
	return d.check(netip.AddrPortFrom(ip, 1).String())
}
