package issuer

import (
	"context"
	"log/slog"
	"time"

	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/watch"
)

// File is a Set that follows a file. It is an auth.Issuers.
type File struct{ files *watch.Files[*Set] }

// Open believes the issuers of a file (config.go), whose keys fetcher gets. Its errors are
// ErrConfig and those of the disk.
func Open(path string, fetcher Fetcher) (*File, error) {
	now := &Set{}
	files, err := watch.Open(func(contents [][]byte) (*Set, error) {
		issuers, err := Parse(contents[0])
		if err != nil {
			return nil, err
		}
		now = renew(issuers, fetcher, now) // of who stays the keys stay too
		return now, nil
	}, path)
	if err != nil {
		return nil, err
	}
	return &File{files}, nil
}

// Run looks at the file so often, until ctx ends. Of one that is bad nothing counts, and
// the log says why; the issuers before it stay.
func (f *File) Run(ctx context.Context, every time.Duration, log *slog.Logger) {
	f.files.Run(ctx, every, log, nil)
}

// Reload reads the file again. If it is bad, the issuers before it stay.
func (f *File) Reload() error {
	_, err := f.files.Reload()
	return err
}

// Identify is that of the Set in force.
func (f *File) Identify(ctx context.Context, token string) (auth.Caller, error) {
	return f.files.Current().Identify(ctx, token)
}

// Version is that of the Set in force.
func (f *File) Version(name string) string { return f.files.Current().Version(name) }

// Err is why the file does not count as it is now; nil if it does.
func (f *File) Err() error { return f.files.Err() }
