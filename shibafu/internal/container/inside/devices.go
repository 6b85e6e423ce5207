package inside

import (
	"fmt"
	"syscall"

	"shibafu.dev/shibafu/internal/container/linux"
	"shibafu.dev/shibafu/internal/terminal"
)

// device is one that every container has.
type device struct {
	name         string
	major, minor uint64
}

var devices = []device{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
}

// links are those that programs expect in /dev.
var links = [][2]string{
	{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"},
	{"pts/ptmx", "ptmx"}, {"/proc/kcore", "core"},
}

// mountDev makes a /dev that has nothing of the image's: the devices are the
// machine's own files, shown one by one.
func (s *setup) mountDev() error {
	if err := s.mount("dev", "tmpfs", linux.NoSuid|linux.NoExec, "mode=755", "size=64k"); err != nil {
		return err
	}
	dev, err := s.root.PlainFolder("dev", 0o755)
	if err != nil {
		return err
	}
	defer dev.Close()
	for _, d := range devices {
		if err := s.bindDevice(dev, d); err != nil {
			return err
		}
	}
	for _, l := range links {
		if err := dev.Symlink(l[0], l[1]); err != nil {
			return err
		}
	}
	if err := s.mountPts(); err != nil {
		return err
	}
	if err := s.mount("dev/shm", "tmpfs", linux.NoSuid|linux.NoDev|linux.NoExec, "mode=1777", "size=64m"); err != nil {
		return err
	}
	return s.mount("dev/mqueue", "mqueue", linux.NoSuid|linux.NoDev|linux.NoExec)
}

func (s *setup) mountPts() error {
	const terminals = 5 // the group "tty", everywhere
	options := []string{"ptmxmode=0666", "mode=0620"}
	if s.Users.Lacks == "" {
		options = append(options, fmt.Sprintf("gid=%d", terminals))
	}
	if err := s.mount("dev/pts", "devpts", linux.NoSuid|linux.NoExec, options...); err != nil {
		return err
	}
	pts, err := s.root.ReadFolder("dev/pts")
	if err != nil {
		return err
	}
	s.pts = pts
	s.keep(pts.File)
	return nil
}

// bindDevice shows a device of the machine, once it has been seen to be that one. It
// can be written to, but its mode and owner, which are the machine's too, stay.
func (s *setup) bindDevice(dev linux.Root, d device) error {
	m, err := linux.Copy("/dev/" + d.name)
	if err != nil {
		return err
	}
	defer m.Close()
	var st syscall.Stat_t
	if err := syscall.Fstat(int(m.Fd()), &st); err != nil {
		return err
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFCHR || st.Rdev != d.major<<8|d.minor {
		return fmt.Errorf("/dev/%s of this machine is another device", d.name)
	}
	if err := linux.Restrict(m, linux.ReadOnly|linux.NoSuid|linux.NoExec); err != nil {
		return err
	}
	if err := dev.Replace(d.name, nil, 0o666); err != nil {
		return err
	}
	at, err := dev.FindPlain(d.name)
	if err != nil {
		return err
	}
	defer at.Close()
	return linux.Attach(m, at)
}

// console shows the terminal as /dev/console too.
func (s *setup) console(name string) error {
	dev, err := s.root.PlainFolder("dev", 0o755)
	if err != nil {
		return err
	}
	defer dev.Close()
	if err := dev.Replace("console", nil, 0o600); err != nil {
		return err
	}
	at, err := dev.FindPlain("console")
	if err != nil {
		return err
	}
	defer at.Close()
	slave, err := s.pts.FindPlain(name)
	if err != nil {
		return err
	}
	defer slave.Close()
	m, err := linux.CopyOf(slave)
	if err != nil {
		return err
	}
	defer m.Close()
	return linux.Attach(m, at)
}

// openTerminal makes the terminal of the container.
func (s *setup) openTerminal() error {
	if !s.Terminal {
		return nil
	}
	master, name, err := linux.NewTerminal(s.pts)
	if err != nil {
		return err
	}
	s.terminal = s.keep(master)
	if err := terminal.SetSize(master, s.Columns, s.Rows); err != nil {
		return err
	}
	slave, err := linux.OpenTerminal(s.pts, name)
	if err != nil {
		return err
	}
	s.slave = s.keep(slave)
	return s.console(name)
}
