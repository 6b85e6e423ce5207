package container_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"shibafu.dev/shibafu/internal/container"
	"shibafu.dev/shibafu/internal/terminal/terminaltest"
)

// lines are those that a container writes, as they come.
type lines struct {
	*bufio.Scanner
	*os.File
}

func newLines() lines {
	reader, writer, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	return lines{bufio.NewScanner(reader), writer}
}

func (l lines) next() string {
	l.Scan()
	return strings.TrimSuffix(l.Text(), "\r")
}

// attributes are those of a terminal.
func attributes(t *testing.T, f *os.File) (a syscall.Termios) {
	t.Helper()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&a))); errno != 0 {
		t.Fatal(errno)
	}
	return a
}

// session runs a container with a terminal, and returns what its user sees, line by
// line, and what can be typed.
func (w *world) session(signals <-chan os.Signal, args ...string) (sees *bufio.Scanner, person, program *os.File, done <-chan result) {
	w.t.Helper()
	person, program = terminaltest.Open(w.t, 80, 24)
	ended := make(chan result, 1)
	go func() {
		code, err := w.store.Run(w.t.Context(), image(w.t), container.Spec{
			Args: args, Interactive: true, Terminal: true, Stdin: program, Stdout: program, Stderr: program,
		}, signals)
		ended <- result{code: code, err: err}
	}()
	return bufio.NewScanner(person), person, program, ended
}

func TestTerminal(t *testing.T) {
	w := newWorld(t)
	sees, _, program, done := w.session(nil, "/probe", "terminal")
	was := attributes(t, program)
	for _, want := range []string{"0 24 80", "1 24 80", "2 24 80", "controlled"} {
		if sees.Scan(); strings.TrimSpace(sees.Text()) != want {
			t.Errorf("%q, want %q", sees.Text(), want)
		}
	}
	if r := <-done; r.code != 0 || r.err != nil {
		t.Errorf("code %d, %v", r.code, r.err)
	}
	if now := attributes(t, program); now != was {
		t.Errorf("the terminal is left as %+v, was %+v", now, was)
	}
}

// A key that interrupts is the container's; the terminal is as it was afterwards.
func TestTerminalKeys(t *testing.T) {
	w := newWorld(t)
	sees, person, program, done := w.session(nil, "/probe", "signal")
	was := attributes(t, program)
	if sees.Scan(); strings.TrimSpace(sees.Text()) != "ready" {
		t.Fatalf("%q", sees.Text())
	}
	if _, err := person.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	if sees.Scan(); !strings.HasSuffix(strings.TrimSpace(sees.Text()), "interrupt") {
		t.Errorf("%q", sees.Text())
	}
	if r := <-done; r.code != 0 || r.err != nil {
		t.Errorf("code %d, %v", r.code, r.err)
	}
	if now := attributes(t, program); now != was {
		t.Errorf("the terminal is left as %+v, was %+v", now, was)
	}
}

func TestTerminalSize(t *testing.T) {
	w := newWorld(t)
	signals := make(chan os.Signal, 1)
	sees, person, _, done := w.session(signals, "/probe", "resized")
	if sees.Scan(); strings.TrimSpace(sees.Text()) != "24 80" {
		t.Fatalf("%q", sees.Text())
	}
	terminaltest.Resize(t, person, 132, 50)
	signals <- syscall.SIGWINCH
	if sees.Scan(); strings.TrimSpace(sees.Text()) != "50 132" {
		t.Errorf("%q", sees.Text())
	}
	if r := <-done; r.code != 0 || r.err != nil {
		t.Errorf("code %d, %v", r.code, r.err)
	}
}

// The terminal of a container is not the one of its user, into which it could type
// (TIOCSTI): files of another file system.
func TestTerminalIsAnother(t *testing.T) {
	w := newWorld(t)
	sees, _, _, done := w.session(nil, "/probe", "files")
	for n := range 3 {
		if sees.Scan(); strings.TrimSpace(sees.Text()) != fmt.Sprint(n, " /dev/pts/0") {
			t.Errorf("%q", sees.Text())
		}
	}
	if r := <-done; r.code != 0 || r.err != nil {
		t.Errorf("code %d, %v", r.code, r.err)
	}
}

// Signals reach the main process, from outside and by way of the first process.
func TestSignals(t *testing.T) {
	w := newWorld(t)
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGQUIT} {
		signals, ready := make(chan os.Signal, 1), newLines()
		done := make(chan error, 1)
		go func() {
			_, err := w.store.Run(t.Context(), image(t), container.Spec{Args: []string{"/probe", "signal"}, Stdout: ready, Stderr: ready}, signals)
			done <- err
		}()
		if line := ready.next(); line != "ready" {
			t.Fatalf("%q", line)
		}
		signals <- s
		if line := ready.next(); line != s.String() {
			t.Errorf("%q, want %q", line, s)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		w.says(s.String()+"\n", image(t), container.Spec{}, "/probe", "signal-first", fmt.Sprint(int(s)))
	}
	r := w.run(image(t), container.Spec{}, "/probe", "kill", "self", "9")
	if r.code != 128+9 || r.err != nil {
		t.Errorf("code %d, %v", r.code, r.err)
	}
	if r := w.run(image(t), container.Spec{}, "/probe", "kill", "1", "9"); r.code != 0 || r.err != nil {
		t.Errorf("the first process cannot be killed from inside: code %d, %v", r.code, r.err)
	}
}
