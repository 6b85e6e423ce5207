package layout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"shibafu.dev/step2-cas/bucket/dir"
)

// ErrOdd says that a layout holds a symbolic link, or what is neither file nor folder,
// where it would be followed.
var ErrOdd = errors.New("layout: neither file nor folder")

// Folder is a layout in a folder of the disk.
type Folder struct {
	*Layout
	files *dir.Bucket
}

// Close lets go of the folder. Nothing may be using it.
func (f *Folder) Close() error { return f.files.Close() }

// OpenFolder opens the layout in a folder for reading. Others may be writing to it.
// What a writer that died has left to be done is done first, where we may.
func OpenFolder(ctx context.Context, path string) (*Folder, error) {
	if err := refuseOdd(path); err != nil {
		return nil, err
	}
	if unsettled, err := dir.Unsettled(path); err == nil && unsettled {
		if files, err := dir.Open(path); err == nil {
			if err := files.Close(); err != nil {
				return nil, err
			}
		}
	}
	files, err := dir.OpenReadOnly(path)
	if err != nil {
		return nil, err
	}
	l, err := Open(ctx, files)
	return &Folder{l, files}, err
}

// CreateFolder opens the layout in a folder for reading and writing, and makes one,
// and the folder, where there is none. One process writes to a folder at a time:
// while it is another one, waiting is called if it is not nil, once, and
// CreateFolder waits until ctx ends. A folder that is not empty and no layout is
// ErrNotLayout.
func CreateFolder(ctx context.Context, path string, waiting func(error)) (*Folder, error) {
	if err := refuseOther(path); err != nil {
		return nil, err
	}
	if err := refuseOdd(path); err != nil {
		return nil, err
	}
	files, err := lock(ctx, path, waiting)
	if err != nil {
		return nil, err
	}
	l, err := Create(ctx, files)
	if err != nil {
		return nil, errors.Join(err, files.Close())
	}
	return &Folder{l, files}, nil
}

// lock opens a folder as soon as nobody else has it.
func lock(ctx context.Context, path string, waiting func(error)) (*dir.Bucket, error) {
	const pause = 100 * time.Millisecond
	for first := true; ; first = false {
		files, err := dir.Open(path)
		if !errors.Is(err, dir.ErrLocked) {
			return files, err
		}
		if first && waiting != nil {
			waiting(err)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}

// refuseOther keeps a layout from being made among somebody's other files.
func refuseOther(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch e.Name() {
		case headerFile:
			return nil
		case indexFile, "blobs", "uploads":
		default:
			return fmt.Errorf("%w: %s holds other files, such as %q", ErrNotLayout, path, e.Name())
		}
	}
	return nil
}

// refuseOdd looks for links in a layout, which may have come from anywhere: a folder in
// it that is a link would have us write, or delete, what is elsewhere. In the place of
// a blob a link does no harm, as the bucket takes it for nothing, so the many files
// there are passed over; but not where a process died, as what it left to be done may
// name any path.
func refuseOdd(root string) error {
	root, err := filepath.EvalSymlinks(root) // it is what was asked for, so it may be a link
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := walk(root, false); err != nil {
		return err
	}
	unsettled, err := dir.Unsettled(root)
	if err != nil || !unsettled {
		return err
	}
	return walk(root, true)
}

// walk returns ErrOdd for what is neither file nor folder: anywhere, or but for what
// is in the place of a blob.
func walk(root string, blobs bool) error {
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		relative := strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
		switch {
		case errors.Is(err, fs.ErrNotExist): // it went away, or is not there yet
			return nil
		case err != nil:
			return err
		case relative == "":
			return nil
		case !e.IsDir() && !e.Type().IsRegular():
			return fmt.Errorf("%w: %s", ErrOdd, path)
		case e.IsDir() && strings.HasPrefix(relative, "blobs/") && !blobs:
			return fs.SkipDir
		}
		return nil
	})
}
