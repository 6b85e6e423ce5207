package container

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"shibafu.dev/shibafu/internal/container/cgroup"
	"shibafu.dev/shibafu/internal/container/control"
	"shibafu.dev/shibafu/internal/container/inside"
	"shibafu.dev/step6-client/layer"
)

// Exit codes of a container that never ran.
const (
	CodeFailed        = inside.CodeFailed
	CodeNotExecutable = inside.CodeNotExecutable
	CodeNotFound      = inside.CodeNotFound
)

// Run runs a container until its main process ends, and returns that one's exit code,
// as a shell has it. With an error it is what says that it never ran: 125, or 126 and
// 127 for a command that cannot be executed or is not there. ErrSpec, ErrImage, those
// of layer.Unpack. When ctx ends the container is killed. Signals that should reach
// the main process come by way of signals, which may be nil.
func (s *Store) Run(ctx context.Context, i Image, spec Spec, signals <-chan os.Signal) (code int, err error) {
	if err := spec.check(); err != nil {
		return CodeFailed, err
	}
	if err := s.Sweep(ctx); err != nil {
		return CodeFailed, fmt.Errorf("cleaning up after others: %w", err)
	}
	c, err := s.create(ctx, i, &spec)
	if err != nil {
		return CodeFailed, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.prepare(i); err != nil {
		return CodeFailed, err
	}
	if err := c.start(ctx); err != nil {
		return CodeFailed, err
	}
	return c.attend(ctx, signals)
}

// container is one from outside.
type container struct {
	*Spec
	store   *Store
	name    string
	folder  string
	lower   []string
	lock    *os.File
	group   *cgroup.Group // nil if there are no limits
	config  inside.Config
	cmd     *exec.Cmd
	conn    *control.Conn
	streams *streams
	ports   *ports
	running bool // its main process has been started
}

// create makes the container's folder, with its layers unpacked.
func (s *Store) create(ctx context.Context, i Image, spec *Spec) (*container, error) {
	held, err := await(ctx, s.lockFile(), syscall.LOCK_SH) // so that nobody prunes what is about to be used
	if err != nil {
		return nil, err
	}
	defer held.Close()
	c := &container{Spec: spec, store: s, name: spec.Name}
	if spec.Unpacking == nil {
		spec.Unpacking = func(layer.Blob) {}
	}
	if spec.Started == nil {
		spec.Started = func() {}
	}
	if c.name == "" {
		c.name = randomName()
	}
	if spec.Hostname == "" {
		spec.Hostname = strings.Trim(strings.ReplaceAll(c.name, "_", "-"), ".-")
	}
	if c.lower, err = s.unpack(ctx, i, spec.Unpacking); err != nil {
		return nil, err
	}
	c.folder = filepath.Join(s.containers(), c.name)
	if err := s.mkdir(ctx, c.folder); err != nil {
		return nil, err
	}
	if err := c.fill(); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// mkdir makes a container's folder. One that is left of a container which has died goes.
func (s *Store) mkdir(ctx context.Context, folder string) error {
	err := os.Mkdir(folder, 0o700)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := s.bury(ctx, filepath.Base(folder)); err != nil {
		return err
	}
	err = os.Mkdir(folder, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return wrong("one of the name %s runs already", filepath.Base(folder))
	}
	return err
}

func randomName() string {
	var b [6]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func (c *container) fill() (err error) {
	if c.lock, err = lock(filepath.Join(c.folder, lockName), syscall.LOCK_EX, os.O_CREATE); err != nil {
		return err
	}
	for _, name := range folders {
		path := filepath.Join(c.folder, name)
		if err := errors.Join(os.Mkdir(path, 0o755), os.Chmod(path, 0o755)); err != nil { // whatever the umask is
			return err
		}
	}
	return os.WriteFile(filepath.Join(c.folder, "layers"), []byte(strings.Join(c.lower, "\n")+"\n"), 0o600)
}

// folders are those of a container's: what it changes, what overlayfs needs for that,
// and where both are put together. The mode of the first is what its root has.
var folders = []string{"upper", "work", "root"}

// close removes all that the container was, its lock last: what has none is nobody's.
func (c *container) close() error {
	var err error
	if c.conn != nil {
		c.conn.Close()
	}
	if c.group != nil {
		err = c.group.Remove(context.Background())
	}
	err = errors.Join(err, c.store.removeContainer(context.Background(), c.folder))
	if c.lock != nil {
		err = errors.Join(err, c.lock.Close())
	}
	return err
}

// prepare puts together what the first process is told.
func (c *container) prepare(i Image) (err error) {
	c.config = inside.Config{
		Hostname: c.Hostname, Volumes: c.Volumes, ReadOnly: c.ReadOnly, HostNetwork: c.HostNetwork, Terminal: c.Terminal,
		Overlay: inside.Overlay{
			From: c.store.layers(), Target: filepath.Join(c.folder, "root"),
			Upper: c.beside("upper"), Work: c.beside("work"), Lower: c.lower, UserXattr: c.store.userXattr(),
		},
		Users: c.store.users(),
	}
	c.config.Columns, c.config.Rows = c.screen() // before a program asks for it
	if c.config.Process, err = c.process(i); err != nil {
		return err
	}
	if c.config.Hosts, c.config.Resolv, err = c.networkFiles(); err != nil {
		return err
	}
	return c.limit()
}

// beside is a folder of the container's as the overlay names it.
func (c *container) beside(name string) string {
	return filepath.Join("..", filepath.Base(c.store.containers()), c.name, name)
}

func (s *Store) users() inside.Users {
	if s.mapping.IsNone() {
		return inside.Users{}
	}
	uids, gids := s.mapping.Bounds()
	why, _ := s.mapping.IsSingle()
	return inside.Users{Namespace: true, UIDs: uids, GIDs: gids, Lacks: why}
}

// networkFiles are the container's hosts and resolv.conf: the machine's with the
// machine's network, else there is nobody to be named.
func (c *container) networkFiles() (hosts, resolv []byte, err error) {
	local := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	if !c.HostNetwork {
		return []byte(local + "127.0.0.1\t" + c.Hostname + "\n"), nil, nil
	}
	if hosts, err = readSome("/etc/hosts"); err != nil {
		return nil, nil, err
	}
	if len(hosts) == 0 {
		hosts = []byte(local)
	}
	resolv, err = readSome("/etc/resolv.conf")
	return append(hosts, "\n127.0.1.1\t"+c.Hostname+"\n"...), resolv, err
}

func readSome(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const most = 1 << 20
	return io.ReadAll(io.LimitReader(f, most))
}

// ownThreads is how many threads the first process may have beside what is asked for.
const ownThreads = 16

// limit makes the control group. Where there is none to be had, and nobody asked for a
// limit, an ordinary user's processes are counted by another means.
func (c *container) limit() error {
	host, err := cgroup.Detect()
	if err != nil {
		return err
	}
	c.config.Cgroups = host.Trees()
	limits, asked := c.Limits, c.Limits != cgroup.Limits{}
	switch {
	case limits.Processes == 0:
		limits.Processes = DefaultProcesses
	case limits.Processes < 0:
		limits.Processes, asked = 0, limits.Memory > 0 || limits.CPUs > 0
	}
	if limits.Processes > 0 {
		limits.Processes += ownThreads
	}
	c.group, err = host.Create(c.store.group(c.name), limits)
	if errors.Is(err, cgroup.ErrUnavailable) && !asked {
		c.config.MostProcesses, err = uint64(limits.Processes), nil
	}
	return err
}

// attend does what the container needs while it runs, and waits for its end.
func (c *container) attend(ctx context.Context, signals <-chan os.Signal) (code int, err error) {
	defer c.ports.close()
	stop := context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })
	defer stop()
	ended := make(chan struct{})
	defer close(ended)
	go c.forward(signals, ended)
	code, err = c.listen()
	_ = c.cmd.Wait() // its code says no more than its message did
	c.streams.finish()
	if c.group != nil && (code == 128+int(syscall.SIGKILL) || !c.running) && c.group.KilledForMemory() {
		fmt.Fprintf(c.Stderr, "shibafu: a process of the container was killed, as its memory of %d bytes was used up\n", c.Limits.Memory)
	}
	if ctx.Err() != nil {
		return CodeFailed, ctx.Err()
	}
	return code, err
}

// forward passes signals on.
func (c *container) forward(signals <-chan os.Signal, ended <-chan struct{}) {
	for {
		select {
		case sig := <-signals:
			if sig == syscall.SIGWINCH {
				c.streams.resize()
				continue
			}
			if s, ok := sig.(syscall.Signal); ok {
				_ = c.conn.Send(control.Message{Kind: control.Signal, Signal: s}, nil)
			}
		case <-ended:
			return
		}
	}
}

// listen hears what the first process says, until its last word.
func (c *container) listen() (code int, err error) {
	for {
		m, file, err := c.conn.Receive()
		if err != nil {
			// Nobody says so of himself, but it was killed, perhaps for want of memory.
			if !c.running {
				return CodeFailed, errors.New("the first process of the container was killed before its program ran")
			}
			return 128 + int(syscall.SIGKILL), nil
		}
		switch m.Kind {
		case control.Terminal:
			c.streams.attachTerminal(file)
		case control.Started:
			c.running = true
			c.Started()
			c.ports.serve(c.conn)
		case control.Dialed:
			c.ports.dialed(m, file)
		case control.Exited:
			return m.Code, nil
		case control.Failed:
			return m.Code, errors.New(m.Error)
		}
	}
}
