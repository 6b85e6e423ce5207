package container

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Pruned says what Prune has removed, or would remove.
type Pruned struct {
	Layers int
	Bytes  int64 // on the disk
}

// Prune removes what Sweep does, and the unpacked layers that are not of one of the
// images and that no container uses; or says what it would remove, if dry. It waits
// until no container is coming to be.
func (s *Store) Prune(ctx context.Context, images []Image, dry bool) (done Pruned, err error) {
	held, err := await(ctx, s.lockFile(), syscall.LOCK_EX)
	if err != nil {
		return Pruned{}, err
	}
	defer held.Close()
	if !dry {
		if err := s.sweep(ctx); err != nil {
			return Pruned{}, err
		}
	}
	used, err := s.used(images)
	if err != nil {
		return Pruned{}, err
	}
	all, err := os.ReadDir(s.layers())
	if err != nil {
		return Pruned{}, err
	}
	for _, e := range all {
		path := filepath.Join(s.layers(), e.Name())
		switch {
		case used[e.Name()]:
			continue
		case strings.HasSuffix(e.Name(), lockSuffix):
			if !dry { // who unpacked has died, or it would hold the store's lock
				err = os.Remove(path)
			}
		default:
			done.Layers++
			done.Bytes += diskUsage(path)
			if !dry {
				err = s.remove(ctx, path)
			}
		}
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// diskUsage is what a tree takes on the disk, as far as we may look into it.
func diskUsage(folder string) (bytes int64) {
	const block = 512 // of st_blocks, whatever the file system has
	_ = filepath.WalkDir(folder, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir
		}
		info, err := e.Info()
		if err != nil {
			return nil
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			bytes += st.Blocks * block
		}
		return nil
	})
	return bytes
}
