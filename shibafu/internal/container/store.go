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
	id      string // no other store of this machine has it
}

// Open is the store in a folder, which is made if it is missing.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir, mapping: userns.ForCaller()}
	for _, folder := range []string{dir, s.layers(), s.containers()} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
	}
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	s.id = fmt.Sprintf("%x-%x", st.Dev, st.Ino)
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
	return flock(f, how)
}

// flock takes the lock of a file, which is closed if it cannot be had.
func flock(f *os.File, how int) (*os.File, error) {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		switch err {
		case nil:
			return f, nil
		case syscall.EINTR:
		default:
			return nil, errors.Join(&os.PathError{Op: "lock", Path: f.Name(), Err: err}, f.Close())
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
		if err := s.sweepOne(ctx, e.Name()); err != nil {
			return err
		}
	}
	return s.helped(ctx, layer.Sweep(s.layers()), request{Sweep: s.layers()})
}

// sweepOne removes what a container has left, unless it runs. One without a lock has
// died before it had one, or is about to be gone: none comes to be at this time.
func (s *Store) sweepOne(ctx context.Context, name string) error {
	folder := filepath.Join(s.containers(), name)
	f, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_RDWR, 0)
	if err == nil {
		f, err = flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	}
	switch {
	case err == nil:
		defer f.Close()
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	host, err := cgroup.Detect()
	if err != nil {
		return err
	}
	return errors.Join(s.remove(ctx, folder), host.Sweep(ctx, s.group(name)))
}

// group is what a container's control group is called: containers of other stores may
// have the same name.
func (s *Store) group(name string) string { return name + "-" + s.id }

// remove removes a folder that may have files of all users of the mapping.
func (s *Store) remove(ctx context.Context, folder string) error {
	return s.helped(ctx, layer.Remove(folder), request{Remove: folder})
}

// helped has a worker do what came to err because files are of other users of the
// mapping.
func (s *Store) helped(ctx context.Context, err error, r request) error {
	if _, single := s.mapping.IsSingle(); single || s.mapping.IsNone() || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return s.work(ctx, r, nil)
}
