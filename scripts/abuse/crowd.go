package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// crowd is many connections of a kind, each from an address of its own.
type crowd struct {
	name string
	n    int
	// within is when the server must have closed each, from its beginning.
	within time.Duration
	// behave does what this kind does until the connection is closed.
	behave func(c net.Conn, i int)
	// buffer is how many bytes the kernel may keep for it, if that is to be few.
	buffer int
}

// life is that of a connection.
type life struct{ begin, end time.Time }

// address is that of the i-th connection of the crowd number k.
func address(k, i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(1 + k), byte(i >> 8), byte(1 + i%250)})
}

// dial connects from an address.
func (s *server) dial(from netip.Addr, buffer int) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), Timeout: 10 * time.Second}
	if buffer > 0 {
		d.Control = func(_, _ string, c syscall.RawConn) (err error) {
			err2 := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, buffer) })
			return errors.Join(err, err2)
		}
	}
	return d.Dial("tcp", s.addr.String())
}

// gathering is crowds that are at a server.
type gathering struct {
	s      *server
	crowds []crowd
	mu     sync.Mutex
	lives  []map[netip.AddrPort]*life // of each crowd
	all    sync.WaitGroup
	err    error
}

// gather lets crowds loose, and waits until the server has closed the last of them. It
// returns how long the longest of each lived; errors say who lived too long, or not at
// all.
func (s *server) gather(crowds ...crowd) ([]time.Duration, error) {
	g := &gathering{s: s, crowds: crowds, lives: make([]map[netip.AddrPort]*life, len(crowds))}
	begin := time.Now()
	for k := range crowds {
		g.lives[k] = map[netip.AddrPort]*life{}
		go g.open(k)
		g.all.Add(crowds[k].n)
	}
	watched := make(chan error, 1)
	arrived := make(chan struct{})
	go func() { watched <- g.watch(begin, arrived) }()
	g.all.Wait()
	close(arrived)
	err := errors.Join(<-watched, g.err)
	longest := make([]time.Duration, len(crowds))
	for k, c := range crowds {
		var e error
		longest[k], e = c.judge(g.lives[k])
		err = errors.Join(err, e)
	}
	return longest, err
}

// open opens the connections of a crowd, some at a time.
func (g *gathering) open(k int) {
	turn := make(chan struct{}, 8)
	for i := range g.crowds[k].n {
		turn <- struct{}{}
		go func() {
			c, err := g.s.dial(address(k, i), g.crowds[k].buffer)
			<-turn
			g.mu.Lock()
			if err != nil {
				g.err = err
			} else {
				g.lives[k][c.LocalAddr().(*net.TCPAddr).AddrPort()] = &life{begin: time.Now()}
			}
			g.mu.Unlock()
			g.all.Done()
			if err == nil {
				defer c.Close()
				g.crowds[k].behave(c, i)
			}
		}()
	}
}

// watch looks who is still there, until all have arrived and nobody is left.
func (g *gathering) watch(begin time.Time, arrived chan struct{}) error {
	for {
		here, err := g.s.connections()
		if err != nil {
			return err
		}
		now, left := time.Now(), 0
		g.mu.Lock()
		for _, lives := range g.lives {
			for at, l := range lives {
				if here[at] {
					l.end = now
					left++
				}
			}
		}
		g.mu.Unlock()
		select {
		case <-arrived:
			if left == 0 {
				return nil
			}
			if now.Sub(begin) > 20*time.Second {
				return fmt.Errorf("%d connections are still there after 20 s", left)
			}
		default:
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// judge returns the longest life.
func (c crowd) judge(lives map[netip.AddrPort]*life) (longest time.Duration, err error) {
	short := 0
	for _, l := range lives {
		took := l.end.Sub(l.begin)
		if took < c.within/4 {
			short++
		}
		longest = max(longest, took)
	}
	if longest > c.within+late {
		err = fmt.Errorf("%s: one is there for %v, want %v at most", c.name, longest.Round(10*time.Millisecond), c.within)
	}
	if short > c.n/100 || len(lives) < c.n { // they were refused, so nothing was shown
		err = errors.Join(err, fmt.Errorf("%s: of %d, %d got in and %d were gone at once", c.name, c.n, len(lives), short))
	}
	return longest, err
}

// ended waits until the other side closes the connection.
func ended(c net.Conn) {
	buffer := make([]byte, 512)
	for {
		if _, err := c.Read(buffer); err != nil {
			return
		}
	}
}
