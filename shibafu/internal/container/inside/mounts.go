package inside

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"shibafu.dev/shibafu/internal/container/linux"
)

// setup makes the root file system, and knows what is needed of it later.
type setup struct {
	*Config
	root     linux.Root
	pts      linux.Root
	terminal *os.File // the side that its user sees, nil if there is none
	slave    *os.File // the side of the programs
	dir      linux.Root
	who      who
	closers  []*os.File
}

func (s *setup) keep(f *os.File) *os.File {
	s.closers = append(s.closers, f)
	return f
}

func (s *setup) close() {
	for _, f := range s.closers {
		f.Close()
	}
}

// run does all that takes root. Whatever the image holds is only looked at from
// within its own root.
func (s *setup) run() error {
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"mounts of its own", s.unshareMounts},
		{"root file system", s.mountRoot},
		{"system folders of the image", s.checkFolders},
		{"network", s.network},
		{"/etc", s.writeEtc},
		{"/proc", s.mountProc},
		{"control groups", s.unshareGroups},
		{"/sys", s.mountSys},
		{"/dev", s.mountDev},
		{"volumes", s.mountVolumes},
		{"hidden paths", s.hide},
		{"terminal", s.openTerminal},
		{"user", s.findUser},
		{"working directory", s.enterDir},
		{"read-only root", s.restrictRoot},
		{"changing the root", s.changeRoot},
		{"working directory", s.goThere},
		{"hostname", func() error { return syscall.Sethostname([]byte(s.Hostname)) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, explain(err))
		}
	}
	return nil
}

// explain says more of errors that have one cause.
func explain(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSYS):
		return fmt.Errorf("%w: Linux 5.12 or later is needed", err)
	}
	return err
}

// unshareMounts keeps what is mounted here from being seen elsewhere.
func (s *setup) unshareMounts() error {
	return syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
}

func (s *setup) mountRoot() error {
	o := s.Overlay
	// What a container changes ends with it, so nothing of that is ever synced: the end of
	// an overlay would wait for all that the file system below has to write.
	options := []string{"volatile"}
	if o.UserXattr {
		options = append(options, "userxattr")
	}
	if err := linux.Overlay(o.From, o.Target, o.Lower, o.Upper, o.Work, options...); err != nil {
		return err
	}
	root, err := linux.OpenRoot(o.Target)
	if err != nil {
		return err
	}
	s.root = root
	s.keep(root.File)
	return nil
}

// systemFolders are those that are mounted on or written to here. A symbolic link in
// the place of one is no mistake that an honest image makes.
var systemFolders = []string{"proc", "sys", "dev", "etc", "run"}

func (s *setup) checkFolders() error {
	for _, name := range systemFolders {
		f, err := s.root.PlainFolder(name, 0o755)
		if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
			return fmt.Errorf("the image has something else than a folder as /%s", name)
		}
		if err != nil {
			return err
		}
		f.Close()
	}
	return nil
}

// attach mounts on a folder that has no symbolic links on its way.
func (s *setup) attach(mount *os.File, folder string) error {
	defer mount.Close()
	at, err := s.root.PlainFolder(folder, 0o755)
	if err != nil {
		return err
	}
	defer at.Close()
	return linux.Attach(mount, at.File)
}

// mount makes a mount and attaches it.
func (s *setup) mount(folder, kind string, attributes uintptr, options ...string) error {
	m, err := linux.NewMount(kind, attributes, options...)
	if err != nil {
		return err
	}
	return s.attach(m, folder)
}

func (s *setup) mountProc() error {
	m, err := linux.NewMount("proc", linux.NoSuid|linux.NoDev|linux.NoExec)
	if err != nil {
		if errors.Is(err, syscall.EPERM) && s.Users.Namespace {
			err = fmt.Errorf("%w: this shell is in a container that hides parts of its own /proc", err)
		}
		return err
	}
	if err := s.sysctls(m); err != nil {
		return err
	}
	return s.attach(m, "proc")
}

// sysctls sets what belongs to the network namespace, by way of a mount that nobody
// else has seen yet.
func (s *setup) sysctls(proc *os.File) error {
	if s.HostNetwork {
		return nil
	}
	groups := "0 2147483647"
	if s.Users.Lacks != "" {
		groups = "0 0"
	} else if s.Users.GIDs > 0 {
		groups = fmt.Sprintf("0 %d", s.Users.GIDs-1)
	}
	// Who is not root in there may use low ports and ping too: it is his own network.
	for _, set := range [][2]string{{"net/ipv4/ip_unprivileged_port_start", "0"}, {"net/ipv4/ping_group_range", groups}} {
		if err := s.sysctl(proc, set[0], set[1]); err != nil {
			return err
		}
	}
	return nil
}

func (s *setup) sysctl(proc *os.File, name, value string) error {
	f, err := linux.Root{File: proc}.OpenForWriting("sys/" + name)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// mountSys shows /sys, for reading. It belongs to the network namespace: with the
// machine's, only the machine's can be shown.
func (s *setup) mountSys() error {
	const attributes = linux.ReadOnly | linux.NoSuid | linux.NoDev | linux.NoExec
	if s.HostNetwork && s.Users.Namespace {
		m, err := linux.Copy("/sys")
		if err == nil {
			err = linux.Restrict(m, attributes)
		}
		if err != nil {
			return err
		}
		if err := s.attach(m, "sys"); err != nil {
			return err
		}
		if len(s.Cgroups) == 0 { // then the machine's groups, which came along, are covered
			return s.mount(groupsFolder, "tmpfs", attributes, "mode=555", "size=4k")
		}
		return s.mountCgroups(attributes)
	}
	if err := s.mount("sys", "sysfs", attributes); err != nil {
		return err
	}
	return s.mountCgroups(attributes)
}

const groupsFolder = "sys/fs/cgroup"

// unshareGroups has the container see its own groups as the top of their trees.
func (s *setup) unshareGroups() error {
	return os.NewSyscallError("unshare", syscall.Unshare(syscall.CLONE_NEWCGROUP))
}

// mountCgroups shows the container its own groups, and nothing above.
func (s *setup) mountCgroups(attributes uintptr) error {
	if len(s.Cgroups) == 1 && s.Cgroups[0] == "cgroup2" {
		return s.mount(groupsFolder, "cgroup2", attributes)
	}
	if len(s.Cgroups) == 0 {
		return nil
	}
	if err := s.mount(groupsFolder, "tmpfs", attributes&^linux.ReadOnly, "mode=755", "size=64k"); err != nil {
		return err
	}
	for _, controller := range s.Cgroups {
		if err := s.mount(groupsFolder+"/"+controller, "cgroup", attributes, strings.Split(controller, ",")...); err != nil {
			return err
		}
	}
	return s.restrict(groupsFolder, linux.ReadOnly)
}

// restrict takes from what is mounted at a path.
func (s *setup) restrict(folder string, attributes uint64) error {
	at, err := s.root.PlainFolder(folder, 0o755)
	if err != nil {
		return err
	}
	defer at.Close()
	return linux.RestrictAlone(at.File, attributes)
}

// restrictRoot has the root itself only be read, if that is wished; volumes, /dev and
// the rest are mounts of their own.
func (s *setup) restrictRoot() error {
	if !s.ReadOnly {
		return nil
	}
	return linux.RestrictAlone(s.root.File, linux.ReadOnly)
}

func (s *setup) changeRoot() error { return linux.PivotRoot(s.root) }

func (s *setup) network() error {
	if s.HostNetwork {
		return nil
	}
	return linux.LoopbackUp()
}
