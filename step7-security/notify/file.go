package notify

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"shibafu.dev/step7-security/watch"
)

// File is a Notifier whose targets follow a file.
type File struct {
	*Notifier
	files *watch.Files[[]*Target] // nil if there is none
}

// OpenFile is Open with the targets of a file; "" stands for no targets, which lets go of
// what waits for those of before.
func OpenFile(ctx context.Context, path string, o Options) (*File, error) {
	f := &File{}
	var targets []*Target
	if path != "" {
		var err error
		f.files, err = watch.Open(func(contents [][]byte) ([]*Target, error) { return Parse(contents[0]) }, path)
		if err != nil {
			return nil, err
		}
		targets = f.files.Current()
	}
	var err error
	if f.Notifier, err = Open(ctx, o, targets); err != nil {
		return nil, err
	}
	return f, nil
}

// Run delivers until ctx ends, and looks at the file so often. If it is bad, the targets
// before it stay, and the log says why.
func (f *File) Run(ctx context.Context, every time.Duration, log *slog.Logger) {
	var following sync.WaitGroup
	defer following.Wait()
	if f.files != nil {
		following.Go(func() {
			f.files.Run(ctx, every, log, func() {
				if err := f.Use(ctx, f.files.Current()); err != nil {
					log.Error("webhooks could not be taken over as they are now", "cause", err)
				}
			})
		})
	}
	f.Notifier.Run(ctx)
}

// Reload reads the file again. If it is bad, the targets before it stay.
func (f *File) Reload(ctx context.Context) error {
	if f.files == nil {
		return nil
	}
	if _, err := f.files.Reload(); err != nil {
		return err
	}
	return f.Use(ctx, f.files.Current())
}

// Err is why the file does not count as it is now; nil if it does.
func (f *File) Err() error {
	if f.files == nil {
		return nil
	}
	return f.files.Err()
}
