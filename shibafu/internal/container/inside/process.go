package inside

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"shibafu.dev/shibafu/internal/container/control"
	"shibafu.dev/shibafu/internal/container/linux"
	"shibafu.dev/shibafu/internal/container/seccomp"
)

// Kept are the capabilities of a container's root: enough for the programs of images,
// and less than Docker's by those that make device files, raw packets and audit
// records. They are podman's.
var kept = []linux.Capability{
	linux.Chown, linux.DacOverride, linux.Fowner, linux.Fsetid, linux.Kill, linux.NetBindService,
	linux.Setfcap, linux.Setgid, linux.Setpcap, linux.Setuid, linux.SysChroot,
}

// streams are the standard files of the main process: those of this one, or a
// terminal, whose other side goes to whoever started the container.
func (s *setup) streams(conn *control.Conn) ([]uintptr, error) {
	if !s.Terminal {
		return []uintptr{0, 1, 2}, s.ownStreams()
	}
	slave := s.slave
	if err := slave.Chown(int(s.who.UID), -1); err != nil {
		return nil, err
	}
	if err := conn.Send(control.Message{Kind: control.Terminal}, s.terminal); err != nil {
		return nil, err
	}
	return []uintptr{slave.Fd(), slave.Fd(), slave.Fd()}, nil
}

// ownStreams gives the pipes to the user, so that /dev/stdout can be opened again by
// whoever is not root.
func (s *setup) ownStreams() error {
	for fd := range 3 {
		var st syscall.Stat_t
		err := syscall.Fstat(fd, &st)
		if err == nil && st.Mode&syscall.S_IFMT == syscall.S_IFIFO {
			err = syscall.Fchown(fd, int(s.who.UID), -1)
		}
		if err != nil {
			return fmt.Errorf("standard files: %w", err)
		}
	}
	return nil
}

// start gives up what only the setup needed, and starts the main process.
func (s *setup) start(streams []uintptr) (pid int, err error) {
	program, err := s.program()
	if err != nil {
		return 0, err
	}
	if err := s.giveUp(); err != nil {
		return 0, err
	}
	attr := &syscall.SysProcAttr{
		Setsid: true, Setctty: s.Terminal,
		Credential: &syscall.Credential{
			Uid: s.who.UID, Gid: s.who.GID, Groups: s.who.Groups,
			NoSetGroups: s.Users.Lacks != "", // which the kernel forbids then
		},
	}
	pid, err = syscall.ForkExec(program, s.Process.Args, &syscall.ProcAttr{Env: s.env(), Files: streams, Sys: attr})
	switch {
	case err == nil:
		return pid, nil
	case errors.Is(err, fs.ErrNotExist): // the interpreter that it names
		return 0, refusal{fmt.Errorf("%s: %w, or what it says that runs it", program, err), CodeNotFound}
	}
	return 0, refusal{fmt.Errorf("%s: %w", program, err), CodeNotExecutable}
}

// giveUp is the last that is done with the rights of root. From here on this process
// can do no more than the container can.
func (s *setup) giveUp() error {
	if n := s.MostProcesses; n > 0 {
		const rlimitNproc = 6
		if err := syscall.Setrlimit(rlimitNproc, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			return os.NewSyscallError("setrlimit", err)
		}
	}
	for _, step := range []func() error{
		linux.NotDumpable,
		func() error { return linux.KeepCapabilities(kept...) },
		linux.NoNewPrivileges,
		seccomp.Install,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// program finds the program in the image, as a shell would.
func (s *setup) program() (string, error) {
	name := s.Process.Args[0]
	if strings.Contains(name, "/") {
		return name, s.executable(name)
	}
	found := refusal{fmt.Errorf("%s: not found in the container's PATH", name), CodeNotFound}
	for folder := range strings.SplitSeq(s.variable("PATH"), ":") {
		if !path.IsAbs(folder) {
			continue
		}
		full := path.Join(folder, name)
		err := s.executable(full)
		if err == nil {
			return full, nil
		}
		if r := err.(refusal); r.code != CodeNotFound {
			found = r
		}
	}
	return "", found
}

// executable looks whether there is a program of that name.
func (s *setup) executable(name string) error {
	st, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return refusal{fmt.Errorf("%s: not found in the container", name), CodeNotFound}
	case err != nil:
		return refusal{err, CodeNotExecutable}
	case !st.Mode().IsRegular() || st.Mode()&0o111 == 0:
		return refusal{fmt.Errorf("%s: is not a program", name), CodeNotExecutable}
	}
	return nil
}

// env is the environment, with what every program expects.
func (s *setup) env() []string {
	env := s.Process.Env
	if s.variable("HOME") == "" {
		env = append(env, "HOME="+s.who.Home)
	}
	return env
}

// variable is the value of a variable, the last if there are more.
func (s *setup) variable(name string) (value string) {
	for _, pair := range s.Process.Env {
		if v, ok := strings.CutPrefix(pair, name+"="); ok {
			value = v
		}
	}
	return value
}
