package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/cmdline"
	"shibafu.dev/step6-client/layer"
	"shibafu.dev/step6-client/layout"
	"shibafu.dev/step6-client/transfer"

	"shibafu.dev/shibafu/internal/container"
	"shibafu.dev/shibafu/internal/store"
)

// ended is how a container ended: with an exit code of its own, or for err.
type ended struct {
	code int
	err  error
}

func (e ended) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e ended) Unwrap() error { return e.err }

// When an image is pulled before it is run.
const (
	pullMissing = "missing"
	pullAlways  = "always"
	pullNever   = "never"
)

// runImage is "run": an image in a container, pulled if it is not here.
func runImage(fs *flag.FlagSet) action {
	var f copyFlags
	var spec specFlags
	var state stateFlag
	f.define(fs, transfer.Host().String())
	spec.define(fs)
	state.define(fs)
	when := pullMissing
	fs.Func("pull", "`when` to fetch the image: missing (unless it is here), always or never", func(text string) error {
		when = text
		if !slices.Contains([]string{pullMissing, pullAlways, pullNever}, text) {
			return fmt.Errorf("want %s, %s or %s", pullMissing, pullAlways, pullNever)
		}
		return nil
	})
	return func(ctx context.Context, args []string, s Streams) error {
		r := runner{copyFlags: &f, when: when, reference: args[0], streams: s}
		spec.Args = args[1:]
		return r.run(ctx, spec.Spec, state)
	}
}

// runner is one call of it.
type runner struct {
	*copyFlags
	when, reference string
	streams         Streams
}

func (r *runner) run(ctx context.Context, spec container.Spec, state stateFlag) error {
	containers, err := state.open()
	if err != nil {
		return err
	}
	local, image, err := r.image(ctx)
	if err != nil {
		return about(r.reference, err)
	}
	defer local.Close()
	spec.Stdin, spec.Stdout, spec.Stderr = r.streams.In, r.streams.Out, r.streams.Err
	spec.Unpacking = r.unpacking
	// Until it runs an interrupt ends the preparations; then it is the container's.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	started := context.AfterFunc(ctx, cancel)
	spec.Started = func() { started() }
	signals, stop := passedOn()
	defer stop()
	code, err := containers.Run(ctx, image, spec, signals)
	return ended{code, err}
}

// passedOn are the signals that a container is to get.
func passedOn() (signals <-chan os.Signal, stop func()) {
	const some = 16
	c := make(chan os.Signal, some)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH)
	// Who reads our output may go away; then the container is to learn of it.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	return c, func() { signal.Stop(c); signal.Stop(broken) }
}

// unpacking says that something takes its time.
func (r *runner) unpacking(b layer.Blob) {
	if !r.quiet {
		fmt.Fprintf(r.streams.Err, "unpacking %s\n", b.Descriptor.Digest)
	}
}

// image finds the image in the local store, which the caller closes, or fetches it.
func (r *runner) image(ctx context.Context) (*store.Store, container.Image, error) {
	if r.when != pullAlways {
		local, image, err := r.local(ctx, r.reference)
		if err == nil || r.when == pullNever || !errors.Is(err, layout.ErrUnknown) && !errors.Is(err, transfer.ErrPlatform) {
			return local, image, err
		}
	}
	pulled, err := r.pulled(ctx, r.reference, r.streams)
	if err != nil {
		return nil, container.Image{}, err
	}
	if !r.quiet {
		fmt.Fprintf(r.streams.Err, "%s is %s\n", pulled.Name, pulled.Descriptor.Digest)
	}
	return r.local(ctx, pulled.Name)
}

// local finds an image in the local store. layout.ErrUnknown if it is not all there.
func (r *runner) local(ctx context.Context, name string) (*store.Store, container.Image, error) {
	local, err := r.open(ctx)
	if err != nil {
		return nil, container.Image{}, err
	}
	image, err := r.find(ctx, local, name)
	if err != nil {
		return nil, image, errors.Join(err, local.Close())
	}
	return local, image, nil
}

func (r *runner) find(ctx context.Context, local *store.Store, name string) (image container.Image, err error) {
	platform, err := r.platform()
	if err != nil {
		return image, err
	}
	if platform == nil {
		return image, fmt.Errorf("%w: --platform: one is run at a time", cmdline.ErrUsage)
	}
	found, err := local.Find(ctx, name)
	if err != nil {
		return image, err
	}
	d, err := transfer.Select(ctx, local, found.Descriptor, *platform)
	if err != nil {
		return image, err
	}
	return load(ctx, local, d)
}

// load reads an image that is to be run, and makes sure that it is all here.
func load(ctx context.Context, local *store.Store, d oci.Descriptor) (container.Image, error) {
	whole, err := local.HasTree(ctx, d)
	if err != nil {
		return container.Image{}, err
	}
	if !whole {
		return container.Image{}, fmt.Errorf("%w: parts of it are missing", layout.ErrUnknown)
	}
	return container.Load(ctx, local.Layout, d)
}
