package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// slowStart is how long a registry may take until it serves.
const slowStart = 2 * time.Second

// server is a registry that is running.
type server struct {
	cmd  *exec.Cmd
	log  string
	base string        // where it serves
	took time.Duration // until it did
}

var servingLine = regexp.MustCompile(`http://[0-9.]+:[0-9]+`)

// startServer starts the program on the store in root. Where it ends, or does not
// serve in time, the error says what it wrote.
func startServer(ctx context.Context, c config, root string) (*server, error) {
	s, line, err := launch(c, root)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	select {
	case text := <-line:
		s.took = time.Since(began)
		if s.base = servingLine.FindString(text); s.base == "" {
			err := fmt.Errorf("the server did not start: %s", s.tail())
			s.kill()
			return nil, err
		}
		return s, nil
	case <-time.After(patience):
		err = errors.New("the server does not start")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	s.kill()
	return nil, err
}

// launch starts the program. The channel gets its first line, or "" when it ended
// without one.
func launch(c config, root string) (*server, chan string, error) {
	s := &server{log: filepath.Join(c.work, "server.log")}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	// Without an audit log, which takes a page for what it tells of a full disk.
	s.cmd = exec.Command(c.server, "registry", "serve", "--port", "0", "--root", root, "--log-audit", "off")
	s.cmd.Stderr = log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, nil, err
	}
	line := make(chan string, 1)
	go func() {
		r := bufio.NewReader(out)
		first, _ := r.ReadString('\n')
		line <- first
		io.Copy(io.Discard, r)
	}()
	return s, line, nil
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// kill ends the process at once, and returns when it is gone.
func (s *server) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// stop asks the server to end, and returns an error if it does not in good order.
func (s *server) stop() error {
	s.cmd.Process.Signal(syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- s.cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		s.cmd.Process.Kill()
		<-ended
		return errors.New("the server does not stop")
	}
}

// alive tells whether the process is there.
func (s *server) alive() bool { return s.cmd.Process.Signal(syscall.Signal(0)) == nil }

// freeze stops the process where it is, and returns when none of its threads is
// in the middle of a system call.
func (s *server) freeze(ctx context.Context) error {
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !s.frozen() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("the server does not freeze")
		}
	}
	return nil
}

func (s *server) frozen() bool {
	stats, _ := filepath.Glob("/proc/" + strconv.Itoa(s.pid()) + "/task/*/stat")
	for _, stat := range stats {
		raw, err := os.ReadFile(stat)
		if err != nil {
			return false
		}
		// The state is the letter behind the name, which is in brackets.
		if i := bytes.LastIndexByte(raw, ')'); i < 0 || i+2 >= len(raw) || raw[i+2] != 'T' {
			return false
		}
	}
	return len(stats) > 0
}

// tail is the end of the log.
func (s *server) tail() string {
	const most = 2000
	raw, _ := os.ReadFile(s.log)
	return string(raw[max(0, len(raw)-most):])
}
