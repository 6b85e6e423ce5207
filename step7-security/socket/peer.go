package socket

import (
	"context"
	"net"
	"syscall"
)

// Peer is the process at the other end, as it was when it connected.
type Peer struct {
	PID int32
	UID uint32
	GID uint32
}

// PeerOf asks the kernel who is at the other end of a connection.
//
// Source: Linux, unix(7), SO_PEERCRED.
func PeerOf(conn *net.UnixConn) (Peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var cred *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return Peer{}, err
	}
	return Peer{cred.Pid, cred.Uid, cred.Gid}, nil
}

type peerKey struct{}

// ConnContext is one for http.Server: From finds the peer in the contexts of the
// connection's requests.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	peer, err := PeerOf(unix)
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, peer)
}

// From is the peer of a request's connection; ok is false if it is not known.
func From(ctx context.Context) (peer Peer, ok bool) {
	peer, ok = ctx.Value(peerKey{}).(Peer)
	return peer, ok
}
