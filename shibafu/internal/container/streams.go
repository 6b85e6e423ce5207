package container

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"shibafu.dev/shibafu/internal/terminal"
)

// streams are the standard files of a container. They are pipes, or a terminal of its
// own, and never the files of this process: a terminal is written to and read by the
// same file, so a container that may write to it could listen to what is typed.
type streams struct {
	stdin, stdout, stderr *os.File // the container's sides
	spec                  *Spec
	input                 *os.File // this side of stdin, nil if there is none
	terminal              *os.File // this side of the terminal, nil until there is one
	mu                    sync.Mutex
	restore               func()
	outputs               []*os.File // what copies reads
	copies                sync.WaitGroup
}

func (c *container) openStreams() (*streams, error) {
	s := &streams{spec: c.Spec, restore: func() {}}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	s.stdin, s.stdout, s.stderr = null, null, null
	if c.Terminal {
		return s, nil
	}
	if c.Interactive {
		if s.stdin, s.input, err = os.Pipe(); err != nil {
			return nil, err
		}
		go s.feed(s.input)
	}
	if s.stdout, err = s.drain(c.Stdout); err != nil {
		return nil, err
	}
	s.stderr, err = s.drain(c.Stderr)
	return s, err
}

// feed passes on what comes in, to the end of it. It may never end: then it ends with
// this process.
func (s *streams) feed(to *os.File) {
	_, _ = io.Copy(to, s.spec.Stdin)
	if to == s.input {
		to.Close()
	}
}

// drain is a pipe whose content goes to w.
func (s *streams) drain(w io.Writer) (*os.File, error) {
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.outputs = append(s.outputs, from)
	s.copies.Go(func() {
		defer from.Close() // if nobody reads any more, the container learns of it as any program does
		pump(w, from)
	})
	return to, nil
}

// pump passes on what a container writes: until its end, and then what is left.
func pump(w io.Writer, from *os.File) {
	if _, err := io.Copy(w, from); !errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	const most = 1 << 20 // of a pipe, as the kernel lets containers make it
	_ = from.SetReadDeadline(time.Time{})
	buffer := make([]byte, most)
	for left := most; left > 0; {
		n := readNow(from, buffer[:left])
		if _, err := w.Write(buffer[:n]); n == 0 || err != nil {
			return
		}
		left -= n
	}
}

// readNow reads what is there already, if anything is.
func readNow(from *os.File, buffer []byte) (n int) {
	conn, err := from.SyscallConn()
	if err != nil {
		return 0
	}
	_ = conn.Read(func(fd uintptr) (done bool) {
		n, err = syscall.Read(int(fd), buffer)
		return err != syscall.EINTR
	})
	return max(n, 0)
}

// closeTheirs closes the container's sides once it has them.
func (s *streams) closeTheirs() {
	for _, f := range []*os.File{s.stdin, s.stdout, s.stderr} {
		if f != nil {
			f.Close() // /dev/null more than once
		}
	}
}

// attachTerminal joins the container's terminal to the one of this process.
func (s *streams) attachTerminal(theirs *os.File) {
	if theirs == nil {
		return
	}
	s.mu.Lock()
	s.terminal = theirs
	s.outputs = append(s.outputs, theirs)
	if in := terminal.Of(s.spec.Stdin); in != nil && s.spec.Interactive {
		if restore, err := terminal.Raw(in); err == nil {
			s.restore = restore
		}
	}
	s.mu.Unlock()
	s.resize()
	if s.spec.Interactive {
		go s.feed(theirs)
	}
	s.copies.Go(func() {
		pump(s.spec.Stdout, theirs) // EIO when the last program has closed it
	})
}

// resize gives the container's terminal the size of ours.
func (s *streams) resize() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal == nil {
		return
	}
	columns, rows := s.spec.screen()
	_ = terminal.SetSize(s.terminal, columns, rows)
}

// screen is the size of our terminal; 0 if there is none.
func (s *Spec) screen() (columns, rows int) {
	for _, w := range []io.Writer{s.Stdout, s.Stderr} {
		if f := terminal.Of(w); f != nil {
			return terminal.Size(f)
		}
	}
	return 0, 0
}

// finish waits for what the container has written, but not for others who have its
// sides of the files: one of its programs may have handed them to another container's.
func (s *streams) finish() {
	const patience = time.Second
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.outputs {
		_ = f.SetReadDeadline(time.Now().Add(patience)) // it may be closed
	}
	s.copies.Wait()
	s.restore()
	if s.terminal != nil {
		s.terminal.Close()
	}
}
