package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/cmdline"
	"shibafu.dev/step6-client/place"
	"shibafu.dev/step6-client/transfer"

	"shibafu.dev/shibafu/internal/progress"
	"shibafu.dev/shibafu/internal/store"
)

// storeFlag is the folder of the local store.
type storeFlag struct{ folder string }

func (f *storeFlag) define(fs *flag.FlagSet) {
	folder, _ := place.DefaultStore() // where there is no home, the flag has to name one
	fs.StringVar(&f.folder, "store", folder, "`folder` of the local store, an OCI image layout")
}

// path is the folder.
func (f *storeFlag) path() (string, error) {
	if f.folder == "" {
		return "", fmt.Errorf("%w: there is no home folder to keep images in; name a folder with --store", cmdline.ErrUsage)
	}
	return f.folder, nil
}

// open opens the local store for reading; create, to write to it as well.
func (f *storeFlag) open(ctx context.Context) (*store.Store, error) {
	path, err := f.path()
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, path)
}

func (f *storeFlag) create(ctx context.Context, waiting func(error)) (*store.Store, error) {
	path, err := f.path()
	if err != nil {
		return nil, err
	}
	return store.Create(ctx, path, waiting)
}

// waitingOn says for whom it is waited.
func waitingOn(s Streams) func(error) {
	return func(err error) { fmt.Fprintln(s.Err, "waiting:", safe(err.Error())) }
}

// platformFlag is which image of an index is meant.
type platformFlag struct{ text string }

// allPlatforms is the word for every one.
const allPlatforms = "all"

func (f *platformFlag) define(fs *flag.FlagSet, unset string) {
	fs.StringVar(&f.text, "platform", unset, "`os/architecture[/variant]` of the image to take out of an index, or all")
}

// platform is nil for all.
func (f *platformFlag) platform() (*oci.Platform, error) {
	if f.text == allPlatforms {
		return nil, nil
	}
	p, err := oci.ParsePlatform(f.text)
	if err != nil {
		return nil, fmt.Errorf("%w: --platform: %w", cmdline.ErrUsage, err)
	}
	return &p, nil
}

// copyFlags are those of what copies.
type copyFlags struct {
	storeFlag
	platformFlag
	access    place.Access
	referrers bool
	parallel  int
	mode      progress.Mode
	quiet     bool
}

// define defines the flags; platform is the one that is meant unless another is said.
func (f *copyFlags) define(fs *flag.FlagSet, platform string) {
	f.storeFlag.define(fs)
	f.platformFlag.define(fs, platform)
	f.access.Flags(fs)
	f.mode = progress.Auto
	fs.BoolVar(&f.referrers, "referrers", false, "take along signatures and what else refers to the image")
	fs.IntVar(&f.parallel, "parallel", transfer.DefaultParallel, "how many blobs are under way at once")
	fs.Var(&f.mode, "progress", "`how` to show what is done: auto, bars, plain, json or none")
	fs.BoolVar(&f.quiet, "quiet", false, "print the digest and nothing else")
	fs.BoolVar(&f.quiet, "q", false, "short for --quiet")
}

// start begins to show a copy, and returns what it is made with. The caller closes
// what is shown.
func (f *copyFlags) start(s Streams) (progress.Shown, transfer.Options, error) {
	platform, err := f.platform()
	if err != nil {
		return nil, transfer.Options{}, err
	}
	if f.parallel < 1 {
		return nil, transfer.Options{}, fmt.Errorf("%w: --parallel: want more than 0", cmdline.ErrUsage)
	}
	mode := f.mode
	if f.quiet {
		mode = progress.None
	}
	shown := progress.New(mode, s.Err)
	f.access.Progress = shown.Bytes
	return shown, transfer.Options{Platform: platform, Referrers: f.referrers, Parallel: f.parallel, Progress: shown.Event}, nil
}

// copied prints what came of it.
func (f *copyFlags) copied(s Streams, name string, d digest.Digest) error {
	if f.quiet {
		_, err := fmt.Fprintln(s.Out, d)
		return err
	}
	_, err := fmt.Fprintf(s.Out, "%s %s\n", name, d)
	return err
}

// pulled fetches an image into the local store and shows how.
func (f *copyFlags) pulled(ctx context.Context, reference string, s Streams) (store.Image, error) {
	path, err := f.path()
	if err != nil {
		return store.Image{}, err
	}
	shown, opts, err := f.start(s)
	if err != nil {
		return store.Image{}, err
	}
	defer shown.Close()
	i, err := store.Pull(ctx, path, reference, store.PullOptions{Access: f.access, Copy: opts, Waiting: shown.Waiting})
	return i, about(reference, err)
}

// subject is what an error is about: a reference, or what else was typed.
type subject struct {
	name string
	err  error
}

func about(name string, err error) error {
	if err == nil || errors.As(err, new(*subject)) {
		return err
	}
	return &subject{name, err}
}

// Error names the subject too.
func (e *subject) Error() string { return e.name + ": " + e.err.Error() }

// Unwrap is the error itself.
func (e *subject) Unwrap() error { return e.err }
