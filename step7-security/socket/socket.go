// Package socket listens on a unix socket that nobody but its owner can reach, at any
// moment, and connects to one.
//
// Source: Linux, unix(7).
package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"shibafu.dev/step7-security/internal/durable"
)

// ErrInUse is a path at which another process answers, or something lies that is no
// socket.
var ErrInUse = errors.New("socket: another process listens there")

// ErrNobody is a path at which nobody answers, for Dial.
var ErrNobody = errors.New("socket: nobody listens there")

// Listener listens on a socket, and removes it when it is closed.
type Listener struct {
	*net.UnixListener
	path string
	info fs.FileInfo // of the socket, as another one may come in its place
	once sync.Once
}

// Listen makes a socket of mode 0600 at path, whose folder must be there. What was left by
// a process that is gone makes room. ErrInUse.
func Listen(path string) (*Listener, error) {
	unlock, err := durable.Lock(path + ".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := vacant(path); err != nil {
		return nil, err
	}
	// It is made where nobody else can look, and shown when its mode is right.
	folder, err := os.MkdirTemp(filepath.Dir(path), ".socket-*") // has mode 0700
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	hidden := filepath.Join(folder, "s")
	ln, err := listen(hidden)
	if err != nil {
		return nil, err
	}
	l := &Listener{UnixListener: ln, path: path}
	if err = os.Chmod(hidden, 0o600); err == nil {
		l.info, err = os.Lstat(hidden)
	}
	if err == nil {
		err = os.Rename(hidden, path)
	}
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return l, nil
}

// vacant says whether a socket may be put at path.
func vacant(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%w: %s is no socket", ErrInUse, path)
	}
	conn, err := Dial(context.Background(), path)
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("%w: %s", ErrInUse, path), conn.Close())
	case errors.Is(err, ErrNobody):
		return nil
	}
	return err
}

func listen(path string) (ln *net.UnixListener, err error) {
	err = short(path, func(name string) error {
		ln, err = net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false) // it will have another name by then
	return ln, nil
}

// Close ends the listener, and removes the socket, if it is still there.
func (l *Listener) Close() error {
	l.once.Do(func() {
		if info, err := os.Lstat(l.path); err == nil && os.SameFile(info, l.info) {
			os.Remove(l.path)
		}
	})
	return l.UnixListener.Close()
}

// Addr is the path.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Dial connects to the socket at path. ErrNobody if there is none, or nobody listens.
func Dial(ctx context.Context, path string) (conn net.Conn, err error) {
	err = short(path, func(name string) error {
		conn, err = new(net.Dialer).DialContext(ctx, "unix", name)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w: %s", ErrNobody, path)
	}
	return conn, err
}

// longest is the longest path that an address holds, in bytes, with the zero byte that
// ends it.
const longest = len(syscall.RawSockaddrUnix{}.Path)

// oPath opens a folder to name it alone, for which no right to read it is needed.
//
// Source: Linux, open(2), O_PATH.
const oPath = 0x200000

// short calls use with a name of path that an address can hold.
func short(path string, use func(name string) error) error {
	if len(path) < longest {
		return use(path)
	}
	folder, err := os.OpenFile(filepath.Dir(path), oPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer folder.Close()
	return use(fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), filepath.Base(path)))
}
