package tlsconf

import (
	"errors"
	"fmt"
	"net"
)

// ErrOpen says that a server would let everybody in from everywhere.
var ErrOpen = errors.New("tlsconf: everybody could pull, push and delete here")

// MayStart tells whether a server may listen at addr: where others than this
// machine's own programs reach it, somebody must be asked who they are, or it must
// have been said that nobody is. ErrOpen.
func MayStart(addr net.Addr, authenticated, allowAnonymousAll bool) error {
	if authenticated || allowAnonymousAll || isLoopback(addr) {
		return nil
	}
	return fmt.Errorf("%w: %s is not a loopback address, and there is no authentication", ErrOpen, addr)
}

// isLoopback is true of what cannot be reached from outside of this machine.
func isLoopback(addr net.Addr) bool {
	switch a := addr.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}
