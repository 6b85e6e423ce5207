// Package control is what the two sides of a container say to one another: the
// command that started it, and the first process in it. One message is one packet of
// a pair of sockets; an open file may go along.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// Kind says what a message is about.
type Kind string

// To the container.
const (
	// Signal is for the main process.
	Signal Kind = "signal"
	// Dial asks for a connection to a port of the container.
	Dial Kind = "dial"
)

// From the container.
const (
	// Terminal comes with the side of the terminal that its user sees.
	Terminal Kind = "terminal"
	// Started says that the main process runs.
	Started Kind = "started"
	// Dialed answers Dial, with the connection or an error.
	Dialed Kind = "dialed"
	// Exited says that the main process has ended, and with which code.
	Exited Kind = "exited"
	// Failed says that there will be no main process, and which exit code says so.
	Failed Kind = "failed"
)

// Message is one message. Which fields mean something depends on its kind.
type Message struct {
	Kind   Kind           `json:"kind"`
	Signal syscall.Signal `json:"signal,omitzero"`
	// ID is that of a Dial and of what answers it.
	ID    uint64 `json:"id,omitzero"`
	Port  uint16 `json:"port,omitzero"`
	Code  int    `json:"code,omitzero"`
	Error string `json:"error,omitzero"`
}

// most is how many bytes a message has, and mostError how many of them an error.
const (
	most      = 16 << 10
	mostError = 2 << 10
)

// ErrMessage says that what came is not a message.
var ErrMessage = errors.New("control: not a message")

// Conn is one side. Send and Receive may be called at once from many goroutines.
type Conn struct {
	socket  *net.UnixConn
	receive sync.Mutex
}

// Pair makes both sides; theirs is to be inherited. The caller closes both.
func Pair() (ours *Conn, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "control")
	ours, err = Open(os.NewFile(uintptr(fds[0]), "control"))
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}

// Open is the side that was inherited as f, which is closed.
func Open(f *os.File) (*Conn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	socket, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(ErrMessage, c.Close())
	}
	return &Conn{socket: socket}, nil
}

// Close ends the conversation: the other side gets io.EOF.
func (c *Conn) Close() error { return c.socket.Close() }

// Send sends a message, with file if it is not nil; the caller closes that.
func (c *Conn) Send(m Message, file *os.File) error {
	if len(m.Error) > mostError {
		m.Error = m.Error[:mostError] + " …"
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var rights []byte
	if file != nil {
		rights = syscall.UnixRights(int(file.Fd()))
	}
	_, _, err = c.socket.WriteMsgUnix(raw, rights, nil)
	return err
}

// Receive returns the next message, and the file that came with it or nil, which the
// caller closes. io.EOF after the last one.
func (c *Conn) Receive() (m Message, file *os.File, err error) {
	c.receive.Lock()
	defer c.receive.Unlock()
	raw, rights := make([]byte, most), make([]byte, syscall.CmsgSpace(4))
	n, nrights, flags, _, err := c.socket.ReadMsgUnix(raw, rights)
	if errors.Is(err, io.EOF) {
		return m, nil, io.EOF
	}
	if err != nil {
		return m, nil, err
	}
	if file, err = received(rights[:nrights]); err != nil {
		return m, nil, err
	}
	if flags&syscall.MSG_TRUNC != 0 {
		err = fmt.Errorf("%w: more than %d bytes", ErrMessage, most)
	} else if bad := json.Unmarshal(raw[:n], &m); bad != nil {
		err = fmt.Errorf("%w: %w", ErrMessage, bad)
	}
	if err != nil && file != nil {
		file.Close()
		file = nil
	}
	return m, file, err
}

// received is the file that came along. It does not block, so that reading it can be
// ended.
func received(rights []byte) (*os.File, error) {
	if len(rights) == 0 {
		return nil, nil
	}
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil || len(messages) != 1 {
		return nil, errors.Join(ErrMessage, err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		for _, fd := range fds {
			syscall.Close(fd)
		}
		return nil, errors.Join(ErrMessage, err)
	}
	syscall.CloseOnExec(fds[0])
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		return nil, errors.Join(err, syscall.Close(fds[0]))
	}
	return os.NewFile(uintptr(fds[0]), "received"), nil
}
