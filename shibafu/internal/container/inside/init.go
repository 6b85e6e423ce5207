package inside

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"shibafu.dev/shibafu/internal/container/control"
)

// serve does what is asked of the container while its main process runs. When whoever
// started it is gone, the container ends.
func serve(conn *control.Conn, pid int) {
	for {
		m, file, err := conn.Receive()
		if err != nil {
			os.Exit(CodeFailed)
		}
		if file != nil {
			file.Close()
		}
		switch m.Kind {
		case control.Signal:
			_ = syscall.Kill(pid, m.Signal) // it may have ended
		case control.Dial:
			go dial(conn, m)
		}
	}
}

// passOn passes signals that programs in the container send to its first process on to
// the main one, which they know by no other number.
func passOn(signals <-chan os.Signal, pid int) {
	for s := range signals {
		_ = syscall.Kill(pid, s.(syscall.Signal)) // it may have ended
	}
}

// dial connects to a port of the container and hands the connection out.
func dial(conn *control.Conn, m control.Message) {
	answer := control.Message{Kind: control.Dialed, ID: m.ID}
	file, err := connect(m.Port)
	if err != nil {
		answer.Error = err.Error()
	} else {
		defer file.Close()
	}
	_ = conn.Send(answer, file)
}

func connect(port uint16) (*os.File, error) {
	const patience = 10 * time.Second
	var first error
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(host, fmt.Sprint(port)), patience)
		if err == nil {
			defer c.Close()
			return c.(*net.TCPConn).File()
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// reap collects processes that have ended, until the main one has. It returns what a
// shell would as its exit code.
func reap(main int) (int, error) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return CodeFailed, os.NewSyscallError("wait4", err)
		case pid == main && status.Exited():
			return status.ExitStatus(), nil
		case pid == main && status.Signaled():
			return 128 + int(status.Signal()), nil
		}
	}
}
