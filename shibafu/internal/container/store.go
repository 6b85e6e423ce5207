package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

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
	program string // what is executed as the first process, and as a worker: this one
}

// Open is the store in a folder, which is made if it is missing.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir, mapping: userns.ForCaller(), program: "/proc/self/exe"}
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

// lockName is the file of a container, or of the store, whose lock is held.
const lockName = "lock"

// lock opens a file, with os.O_CREATE if it may be missing, and takes its lock in that
// way, or fails with EWOULDBLOCK. Closing it lets go.
func lock(path string, how, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(&os.PathError{Op: "lock", Path: path, Err: err}, f.Close())
	}
	return f, nil
}

// await is lock, but waits for the lock until ctx ends. The file is made if it is
// missing.
func await(ctx context.Context, path string, how int) (*os.File, error) {
	const longest = 50 * time.Millisecond
	for pause := time.Millisecond; ; pause = min(2*pause, longest) {
		f, err := lock(path, how, os.O_CREATE)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return f, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lockFile is the file whose lock is held, for reading, while a container comes to be.
func (s *Store) lockFile() string { return filepath.Join(s.dir, lockName) }

// Sweep removes what containers and unpackings have left whose processes have died. It
// does not wait for others, who sweep as well.
func (s *Store) Sweep(ctx context.Context) error {
	held, err := lock(s.lockFile(), syscall.LOCK_EX, os.O_CREATE)
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
		if err := s.bury(ctx, e.Name()); err != nil {
			return err
		}
	}
	return s.helped(ctx, layer.Sweep(s.layers()), request{Sweep: s.layers()})
}

// bury removes a container that has died. One that runs, or that is about to be gone,
// is left alone.
func (s *Store) bury(ctx context.Context, name string) error {
	folder := filepath.Join(s.containers(), name)
	held, err := lock(filepath.Join(folder, lockName), syscall.LOCK_EX, 0)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil
	case errors.Is(err, fs.ErrNotExist): // no more than the empty folder is left
		_ = os.Remove(folder)
		return nil
	case err != nil:
		return err
	}
	defer held.Close()
	return errors.Join(s.sweepGroups(ctx, name), s.removeContainer(ctx, folder))
}

// removeContainer removes a container's folder, the lock that is held last: who finds
// that gone has nothing more to remove.
func (s *Store) removeContainer(ctx context.Context, folder string) error {
	all, err := os.ReadDir(folder)
	if err != nil {
		return ignoreMissing(err) // whose lock it was has removed it
	}
	for _, e := range all {
		path, err := filepath.Join(folder, e.Name()), error(nil)
		switch {
		case e.IsDir():
			err = s.remove(ctx, path)
		case e.Name() != lockName:
			err = ignoreMissing(os.Remove(path))
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(ignoreMissing(os.Remove(filepath.Join(folder, lockName))), ignoreMissing(os.Remove(folder)))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (s *Store) sweepGroups(ctx context.Context, name string) error {
	host, err := cgroup.Detect()
	if err != nil {
		return err
	}
	return host.Sweep(ctx, s.group(name))
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
