package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"shibafu.dev/shibafu/internal/container/control"
)

// ports are what is published: connections to the machine's ports go on to the
// container's, which the first process dials in there and hands out.
type ports struct {
	listeners []*net.TCPListener
	targets   []uint16
	mu        sync.Mutex
	waiting   map[uint64]chan answer
	last      uint64
	ended     chan struct{}
	conn      *control.Conn
}

type answer struct {
	file *os.File
	err  error
}

// listen takes the ports of the machine, all or none.
func listen(ctx context.Context, published []Port) (*ports, error) {
	p := &ports{waiting: map[uint64]chan answer{}, ended: make(chan struct{})}
	for _, port := range published {
		network := "tcp6"
		if port.Host.Addr().Is4() {
			network = "tcp4" // else all addresses of version 4 would be those of version 6 too
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, network, port.Host.String())
		if err != nil {
			p.close()
			return nil, fmt.Errorf("publishing a port: %w", err)
		}
		p.listeners, p.targets = append(p.listeners, l.(*net.TCPListener)), append(p.targets, port.Container)
	}
	return p, nil
}

// close lets go of the ports. Connections end with the container.
func (p *ports) close() {
	for _, l := range p.listeners {
		l.Close()
	}
	select {
	case <-p.ended:
	default:
		close(p.ended)
	}
}

// serve begins to pass connections on.
func (p *ports) serve(conn *control.Conn) {
	p.conn = conn
	for n, l := range p.listeners {
		go p.accept(l, p.targets[n])
	}
}

// mostConnections is how many there are at once for one port; others wait to be
// accepted.
const mostConnections = 1024

func (p *ports) accept(l *net.TCPListener, target uint16) {
	free := make(chan struct{}, mostConnections)
	for {
		free <- struct{}{}
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too many open files, mostly
			<-free
			if !p.rest() {
				return
			}
			continue
		}
		go func() {
			defer func() { <-free }()
			defer c.Close()
			p.pass(c, target)
		}()
	}
}

// rest waits a while, and tells whether the container still runs.
func (p *ports) rest() bool {
	const while = 50 * time.Millisecond
	select {
	case <-time.After(while):
		return true
	case <-p.ended:
		return false
	}
}

// pass joins a connection to one in the container, until both directions have ended.
func (p *ports) pass(outer *net.TCPConn, target uint16) {
	inner, err := p.dial(target)
	if err != nil {
		_ = outer.SetLinger(0) // refused, as it was in there
		return
	}
	defer inner.Close()
	var both sync.WaitGroup
	both.Go(func() { join(inner, outer) })
	both.Go(func() { join(outer, inner) })
	both.Wait()
}

func join(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	_ = to.CloseWrite()
}

// dial has the first process connect to a port.
func (p *ports) dial(target uint16) (*net.TCPConn, error) {
	done := make(chan answer, 1)
	p.mu.Lock()
	p.last++
	id := p.last
	p.waiting[id] = done
	p.mu.Unlock()
	if err := p.conn.Send(control.Message{Kind: control.Dial, ID: id, Port: target}, nil); err != nil {
		p.forget(id)
		return nil, err
	}
	select {
	case a := <-done:
		if a.err != nil {
			return nil, a.err
		}
		defer a.file.Close()
		c, err := net.FileConn(a.file)
		if err != nil {
			return nil, err
		}
		tcp, ok := c.(*net.TCPConn)
		if !ok {
			return nil, errors.Join(control.ErrMessage, c.Close())
		}
		return tcp, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

// forget returns who waits for an answer, who does not any more then.
func (p *ports) forget(id uint64) (done chan answer, waits bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	done, waits = p.waiting[id]
	delete(p.waiting, id)
	return done, waits
}

// dialed takes the answer of the first process.
func (p *ports) dialed(m control.Message, file *os.File) {
	done, ok := p.forget(m.ID)
	a := answer{file: file}
	if file == nil {
		a.err = errors.New(m.Error)
	}
	if ok {
		done <- a
	} else if file != nil {
		file.Close()
	}
}
