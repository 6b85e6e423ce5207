package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// drain has another process make the same request over n connections again and again. In
// this one it would be the honest client that waits for its turn. end ends it, and returns
// how many MiB a second came.
func (s *server) drain(n int, request string) (end func() (float64, error), err error) {
	cmd := exec.Command(os.Args[0], "drain", s.addr.String(), strconv.Itoa(n), request)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() (float64, error) {
		stdin.Close()
		var pace float64
		_, err := fmt.Fscan(bufio.NewReader(stdout), &pace)
		return pace, errors.Join(err, cmd.Wait())
	}, nil
}

// drainMain is that process: it ends with its standard input.
func drainMain(args []string) error {
	at, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var conns []net.Conn
	var all sync.WaitGroup
	var moved atomic.Int64
	begin := time.Now()
	for range n {
		c, err := (&server{addr: at}).dial(address(0, 0), 0)
		if err != nil {
			return err
		}
		conns = append(conns, c)
		all.Go(func() { repeat(c, args[2], &moved) })
	}
	io.Copy(io.Discard, os.Stdin)
	pace := float64(moved.Load()) / (1 << 20) / time.Since(begin).Seconds()
	for _, c := range conns {
		c.Close()
	}
	all.Wait()
	_, err = fmt.Println(pace)
	return err
}

// repeat makes requests until the connection is closed. moved counts what comes.
func repeat(c net.Conn, request string, moved *atomic.Int64) {
	for {
		if _, err := io.WriteString(c, request); err != nil || discard(c, layerSize, moved) != nil {
			return
		}
	}
}

// discard takes n bytes from a connection, or some more, and throws them away where they
// are, in the kernel: to read them would cost more than to send them, and here both are
// done by one machine.
func discard(c net.Conn, n int64, moved *atomic.Int64) error {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	buffer := make([]byte, 1<<20) // nothing is written to it
	for n > 0 {
		var got int
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			got, _, failed = syscall.Recvfrom(int(fd), buffer, syscall.MSG_TRUNC)
			return failed != syscall.EAGAIN
		})
		if err = errors.Join(err, failed); err != nil {
			return err
		}
		if got == 0 {
			return io.EOF
		}
		n -= int64(got)
		moved.Add(int64(got))
	}
	return nil
}
