package wire

import (
	"net"
	"net/netip"
)

// OnTheInternet makes c take its registry for one that is there, wherever it is
// found.
func (c *Conn) OnTheInternet() { c.dialer.look = func(netip.Addr) reach { return public } }

// The rest of what tests look at.
type Reach = reach

const (
	Public    = public
	Private   = private
	Loopback  = loopback
	LinkLocal = linkLocal
	Nowhere   = nowhere
)

var (
	ReachOf        = reachOf
	RegistryOrigin = registryOrigin
)

// Found makes c find its registry at an address, and Allows tells whether that may
// lead to another.
func (c *Conn) Found(address string) {
	c.dialer.found(net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 443)))
}

func (c *Conn) Allows(address string) bool {
	return c.dialer.check(netip.AddrPortFrom(netip.MustParseAddr(address), 443).String()) == nil
}
