package cli

import (
	"context"
	"flag"

	"shibafu.dev/step6-client/place"
	"shibafu.dev/step6-client/transfer"

	"shibafu.dev/shibafu/internal/store"
)

// push is "push": what the local store has under a name goes to the registry that the
// name says.
func push(fs *flag.FlagSet) action {
	var f copyFlags
	f.define(fs, allPlatforms)
	return func(ctx context.Context, args []string, s Streams) error {
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
