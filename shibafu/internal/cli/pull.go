package cli

import (
	"context"
	"flag"

	"shibafu.dev/step6-client/transfer"
)

// pull is "pull": from a registry into the local store, under the whole name.
func pull(fs *flag.FlagSet) action {
	var f copyFlags
	f.define(fs, transfer.Host().String())
	all := fs.Bool("all-platforms", false, "take the whole index; short for --platform all")
	return func(ctx context.Context, args []string, s Streams) error {
		if *all {
			f.text = allPlatforms
		}
		i, err := f.pulled(ctx, args[0], s)
		if err != nil {
			return err
		}
		return f.copied(s, i.Name, i.Descriptor.Digest)
	}
}
