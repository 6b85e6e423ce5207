package container

import (
	"context"
	"os"
	"os/exec"
	"syscall"

	"shibafu.dev/shibafu/internal/container/control"
	"shibafu.dev/shibafu/internal/container/inside"
	"shibafu.dev/shibafu/internal/container/linux"
)

// start starts the first process, and leaves it where it waits to be attended to.
func (c *container) start(ctx context.Context) (err error) {
	if c.ports, err = listen(ctx, c.Ports); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			c.ports.close()
		}
	}()
	if c.streams, err = c.openStreams(); err != nil {
		return err
	}
	defer c.streams.closeTheirs()
	conn, theirs, err := control.Pair()
	if err != nil {
		return err
	}
	c.conn = conn
	defer theirs.Close()
	raw, err := c.config.Encode()
	if err != nil {
		return err
	}
	config, err := inherited("config", raw)
	if err != nil {
		return err
	}
	defer config.Close()
	program, err := c.store.sealed()
	if err != nil {
		return err
	}
	defer program.Close()
	return c.exec(program, theirs, config)
}

// exec starts it from a program that nobody can write to: whatever happens in the
// container, the one on the disk is not within its reach.
func (c *container) exec(program, control, config *os.File) error {
	if err := linux.CloseOnExec(); err != nil { // what a careless shell has left open
		return err
	}
	cmd := exec.Command("/proc/self/fd/7")
	cmd.Args, cmd.Env = []string{inside.Name}, []string{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.streams.stdin, c.streams.stdout, c.streams.stderr
	cmd.ExtraFiles = []*os.File{control, config, c.lock, program}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var flags uintptr = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS
	if !c.HostNetwork {
		flags |= syscall.CLONE_NEWNET
	}
	err := c.store.mapping.Start(cmd, flags, func(pid int) error {
		if c.group == nil {
			return nil
		}
		return c.group.Add(pid)
	})
	c.cmd = cmd
	return err
}

// sealed is the program as nobody can write to it: seen through a mount of its own that
// can only be read, or where we may not mount, a copy in memory.
func (s *Store) sealed() (*os.File, error) {
	if mount, err := linux.Copy(s.program); err == nil {
		if linux.Restrict(mount, linux.ReadOnly|linux.NoSuid|linux.NoDev) == nil {
			return mount, nil
		}
		mount.Close()
	}
	f, err := os.Open(s.program)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return linux.Sealed("shibafu", func(to *os.File) error { return linux.CopyWhole(to, f) })
}

// inherited is a file in memory for a process to read.
func inherited(name string, content []byte) (*os.File, error) {
	return linux.Sealed(name, func(to *os.File) error {
		_, err := to.Write(content)
		return err
	})
}
