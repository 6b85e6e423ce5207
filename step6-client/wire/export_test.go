package wire

import "net/netip"

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
