package inside

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"shibafu.dev/shibafu/internal/container/linux"
)

// masked are paths that show nothing of the machine, and frozen those that can only
// be read. Both are what Docker and containerd have for runc.
var (
	masked = []string{
		"proc/asound", "proc/acpi", "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats",
		"proc/timer_list", "proc/timer_stats", "proc/sched_debug", "proc/scsi",
		"sys/firmware", "sys/devices/virtual/powercap",
	}
	frozen = []string{"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"}
)

func (s *setup) hide() error {
	for _, path := range masked {
		if err := s.mask(path); err != nil {
			return fmt.Errorf("/%s: %w", path, err)
		}
	}
	shared, err := s.shared()
	if err != nil {
		return err
	}
	for _, path := range slices.Concat(frozen, shared) {
		if err := s.freeze(path); err != nil {
			return fmt.Errorf("/%s: %w", path, err)
		}
	}
	return nil
}

// shared are the other paths of /proc that are not a process's. Wherever it is mounted
// their modes and owners are the same, so that the root of a container could take them
// from everybody on the machine; one of a user namespace may not.
func (s *setup) shared() (paths []string, err error) {
	if s.Users.Namespace {
		return nil, nil
	}
	proc, err := s.root.ReadFolder("proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	entries, err := proc.ReadDir(-1)
	for _, e := range entries {
		path := "proc/" + e.Name()
		isProcess := e.Name()[0] >= '0' && e.Name()[0] <= '9'
		if !isProcess && e.Type()&os.ModeSymlink == 0 && !slices.Contains(masked, path) && !slices.Contains(frozen, path) {
			paths = append(paths, path)
		}
	}
	return paths, err
}

// system opens a path of /proc or /sys, and makes sure that it is one: f is nil if
// this kernel does not have it.
func (s *setup) system(path string) (f *os.File, err error) {
	f, err = s.root.FindPlain(path)
	if errors.Is(err, syscall.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	kind, err := linux.FileSystem(f)
	if err == nil && kind != linux.ProcFS && kind != linux.SysFS {
		err = errors.New("something else was mounted there")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (s *setup) mask(path string) error {
	at, err := s.system(path)
	if err != nil || at == nil {
		return err
	}
	defer at.Close()
	cover, err := s.cover(at)
	if err != nil {
		return err
	}
	defer cover.Close()
	return linux.Attach(cover, at)
}

// cover is an empty folder to hide a folder with, and /dev/null to hide a file.
func (s *setup) cover(at *os.File) (*os.File, error) {
	st, err := at.Stat()
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return linux.NewMount("tmpfs", linux.ReadOnly|linux.NoSuid|linux.NoDev|linux.NoExec, "mode=555", "size=4k")
	}
	null, err := s.root.FindPlain("dev/null")
	if err != nil {
		return nil, err
	}
	defer null.Close()
	return linux.CopyOf(null)
}

func (s *setup) freeze(path string) error {
	at, err := s.system(path)
	if err != nil || at == nil {
		return err
	}
	defer at.Close()
	m, err := linux.CopyOf(at)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := linux.Restrict(m, linux.ReadOnly|linux.NoSuid|linux.NoDev|linux.NoExec); err != nil {
		return err
	}
	return linux.Attach(m, at)
}
