package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"shibafu.dev/shibafu/internal/container/cgroup"
	"shibafu.dev/shibafu/internal/container/userns"
	"shibafu.dev/step6-client/layer"
)

// Store is a folder that has unpacked layers, each once, and what the containers that
// run have changed. Layers keep the owners that images give them, so the folder is
// closed to all others. Many processes may use one Store at once.
//
//	layers/<name>/            an unpacked layer; the name stands for it and those below it
//	containers/<name>/lock    held as long as the container lives
//	containers/<name>/layers  the names of its layers
//	containers/<name>/upper   what it has changed
//	lock                      held, for reading, while a container comes to be
type Store struct {
	dir     string
	mapping userns.Mapping
}

// Open is the store in a folder, which is made if it is missing.
func Open(dir string) (*Store, error) {
	s := &Store{dir, userns.ForCaller()}
	for _, folder := range []string{dir, s.layers(), s.containers()} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Store) layers() string     { return filepath.Join(s.dir, "layers") }
func (s *Store) containers() string { return filepath.Join(s.dir, "containers") }

// userXattr tells whether overlays must be mounted as in a user namespace.
func (s *Store) userXattr() bool { return !s.mapping.IsNone() || !isInitialNamespace() }

// isInitialNamespace tells whether root is the machine's root.
func isInitialNamespace() bool {
	raw, err := os.ReadFile("/proc/self/uid_map")
	var inside, outside, count uint64
	n, _ := fmt.Sscan(string(raw), &inside, &outside, &count)
	return err == nil && n == 3 && inside == 0 && outside == 0 && count == 1<<32-1
}

// lock opens a file that is made if it is missing, and takes its lock in that way.
// Closing it lets go.
func lock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), how)
		switch err {
		case nil:
			return f, nil
		case syscall.EINTR:
		default:
			return nil, errors.Join(&os.PathError{Op: "lock", Path: path, Err: err}, f.Close())
		}
	}
}

func (s *Store) lock(how int) (*os.File, error) { return lock(filepath.Join(s.dir, "lock"), how) }

// Sweep removes what containers and unpackings have left whose processes have died. It
// does not wait for others, who sweep as well.
func (s *Store) Sweep(ctx context.Context) error {
	held, err := s.lock(syscall.LOCK_EX | syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return err
	}
	defer held.Close()
	return s.sweep(ctx)
}

// sweep does so while nobody else comes to be.
func (s *Store) sweep(ctx context.Context) error {
	all, err := os.ReadDir(s.containers())
	if err != nil {
		return err
	}
	for _, e := range all {
		folder := filepath.Join(s.containers(), e.Name())
		held, err := lock(filepath.Join(folder, "lock"), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue // it runs
		}
		if err != nil {
			return err
		}
		err = errors.Join(s.remove(ctx, folder), s.sweepGroups(ctx, e.Name()))
		held.Close()
		if err != nil {
			return err
		}
	}
	return layer.Sweep(s.layers())
}

func (s *Store) sweepGroups(ctx context.Context, name string) error {
	host, err := cgroup.Detect()
	if err != nil {
		return err
	}
	return host.Sweep(ctx, name)
}

// remove removes a folder that may have files of all users of the mapping.
func (s *Store) remove(ctx context.Context, folder string) error {
	err := layer.Remove(folder)
	if _, single := s.mapping.IsSingle(); single || s.mapping.IsNone() || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return s.work(ctx, request{Remove: folder}, nil)
}
