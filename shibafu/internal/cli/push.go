package cli

import (
	"context"
	"flag"
	"fmt"

	"shibafu.dev/step6-client/cmdline"
	"shibafu.dev/step6-client/place"
	"shibafu.dev/step6-client/transfer"

	"shibafu.dev/shibafu/internal/store"
)

// push is "push": what the local store has under a name goes to the registry that the
// name says. With --layers it is made first.
func push(fs *flag.FlagSet) action {
	var f copyFlags
	var made assembleFlags
	f.define(fs, allPlatforms)
	made.define(fs)
	return func(ctx context.Context, args []string, s Streams) error {
		switch {
		case made.layers != "":
			if err := made.assemble(ctx, &f, args[0], s); err != nil {
				return err
			}
			f.text = allPlatforms // there is one
		case len(made.set) > 0:
			return fmt.Errorf("%w: --%s is for an image that is put together from --layers", cmdline.ErrUsage, made.set[0])
		}
		local, err := f.open(ctx)
		if err != nil {
			return err
		}
		defer local.Close()
		return f.push(ctx, local, args[0], s)
	}
}

// push sends an image of the local store to its registry.
func (f *copyFlags) push(ctx context.Context, local *store.Store, reference string, s Streams) error {
	r, err := place.Complete(reference)
	if err != nil {
		return about(reference, err)
	}
	i, err := local.Find(ctx, r.String())
	if err != nil {
		return about(reference, err)
	}
	shown, opts, err := f.start(s)
	if err != nil {
		return err
	}
	defer shown.Close()
	to, err := f.access.Registry(r.String())
	if err != nil {
		return err
	}
	defer to.Close()
	from := i.Name
	if from == "" || !r.Digest.IsZero() {
		from = i.Descriptor.Digest.String()
	}
	d, err := transfer.Copy(ctx, to, to.At(), local, from, opts)
	if err != nil {
		return about(reference, err)
	}
	shown.Close()
	return f.copied(s, to.Name(), d.Digest)
}
