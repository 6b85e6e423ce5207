package inside

import (
	"fmt"
	"os"

	"shibafu.dev/shibafu/internal/container/linux"
)

func (s *setup) mountVolumes() error {
	for _, v := range s.Volumes {
		if err := s.mountVolume(v); err != nil {
			return fmt.Errorf("%s:%s: %w", v.Source, v.Target, err)
		}
	}
	return nil
}

// mountVolume shows a file or folder of the machine, with what is mounted below it.
// The target is looked up within the root, and is what is mounted on, whatever
// somebody else makes of its name meanwhile.
func (s *setup) mountVolume(v Volume) error {
	m, err := linux.Copy(v.Source)
	if err != nil {
		return err
	}
	defer m.Close()
	var attributes uint64 = linux.NoSuid | linux.NoDev
	if v.ReadOnly {
		attributes |= linux.ReadOnly
	}
	if err := linux.Restrict(m, attributes); err != nil {
		return err
	}
	st, err := m.Stat()
	if err != nil {
		return err
	}
	at, err := s.target(v.Target, st.IsDir())
	if err != nil {
		return err
	}
	defer at.Close()
	on, err := at.Stat()
	if err != nil {
		return err
	}
	kind, err := linux.FileSystem(at)
	if err != nil {
		return err
	}
	if st.IsDir() != on.IsDir() {
		return fmt.Errorf("a folder can only be shown in the place of a folder, and a file in that of a file")
	}
	if kind == linux.ProcFS || kind == linux.SysFS {
		return fmt.Errorf("nothing can be put into /proc and /sys")
	}
	return linux.Attach(m, at)
}

func (s *setup) target(path string, isFolder bool) (*os.File, error) {
	if !isFolder {
		return s.root.Touch(path)
	}
	f, err := s.root.Folder(path, 0o755)
	return f.File, err
}
