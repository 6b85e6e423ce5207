package inside

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"strings"
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
	signals, err := standAlone()
	if err != nil {
		return CodeFailed, err
	}
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
	go passOn(signals, pid)
	return reap(pid)
}

// taken are the signals that programs send to a first process, and those that a shell
// has a program ignore and that the Go runtime leaves so. What is taken here is not
// ignored by the main process. Each takes the runtime some time, so that not all are.
var taken = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2,
	syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU,
}

// standAlone rids the process of what it has inherited from a shell, or a service,
// that a container should not. The signals that come to it are those of programs in
// the container, and of whoever looks at it from outside.
func standAlone() (signals <-chan os.Signal, err error) {
	const some = 64
	c := make(chan os.Signal, some)
	signal.Notify(c, taken...)
	const umask = 0o022
	syscall.Umask(umask)
	for _, step := range []func() error{
		func() error { return linux.SetName("shibafu") },
		linux.NewKeyring,
		notSpared,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// notSpared has the kernel choose the container like any other program when the
// machine's memory is used up, also if whoever started it is spared then.
func notSpared() error {
	const file = "/proc/self/oom_score_adj"
	raw, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(raw), "-") {
		return err
	}
	return os.WriteFile(file, []byte("0"), 0)
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
