package inside

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"shibafu.dev/shibafu/internal/container/control"
	"shibafu.dev/shibafu/internal/container/linux"
	"shibafu.dev/shibafu/internal/container/userns"
)

// What is given up is given up by a thread, and what is started inherits from the
// thread that starts it. The main thread is the one that /proc shows.
func init() {
	if Is() {
		runtime.LockOSThread()
	}
}

// Is tells whether this process is to be the first of a container.
func Is() bool { return len(os.Args) > 0 && os.Args[0] == Name }

// Main is the life of the first process. It returns the exit code.
func Main() int {
	if err := userns.Enter(); err != nil {
		return CodeFailed // nobody is there to be told
	}
	conn, err := control.Open(os.NewFile(controlFile, "control"))
	if err != nil {
		return CodeFailed
	}
	code, err := live(conn)
	m := control.Message{Kind: control.Exited, Code: code}
	if err != nil {
		m = control.Message{Kind: control.Failed, Code: exitCode(err), Error: err.Error()}
	}
	_ = conn.Send(m, nil) // who started us may be gone
	return code
}

func live(conn *control.Conn) (code int, err error) {
	if err := linux.CloseOnExec(); err != nil {
		return CodeFailed, err
	}
	if err := linux.SetName("shibafu"); err != nil {
		return CodeFailed, err
	}
	startAnew()
	c, err := readConfig(os.NewFile(configFile, "config"))
	if err != nil {
		return CodeFailed, err
	}
	s := &setup{Config: c}
	defer s.close()
	if err := s.run(); err != nil {
		return CodeFailed, err
	}
	streams, err := s.streams(conn)
	if err != nil {
		return CodeFailed, err
	}
	pid, err := s.start(streams)
	if err != nil {
		return CodeFailed, err
	}
	if err := conn.Send(control.Message{Kind: control.Started}, nil); err != nil {
		return CodeFailed, err
	}
	go serve(conn, pid)
	return reap(pid)
}

// startAnew makes what is inherited the same wherever a container is started from.
func startAnew() {
	// Signals that were ignored, as in the background of a shell, have their usual effect
	// in a program that is started by one that looks at them.
	signal.Notify(make(chan os.Signal, 1))
	syscall.Umask(0)
}

// refusal is an error with the exit code that says so.
type refusal struct {
	error
	code int
}

func (r refusal) Unwrap() error { return r.error }

func exitCode(err error) int {
	var r refusal
	if errors.As(err, &r) {
		return r.code
	}
	return CodeFailed
}
