package cli

import (
	"context"
	"flag"
	"io"

	"shibafu.dev/step6-client/place"
	"shibafu.dev/step6-client/transfer"
)

// copyImage is "copy": from anywhere to anywhere.
func copyImage(fs *flag.FlagSet) action {
	var f copyFlags
	f.define(fs, allPlatforms)
	return func(ctx context.Context, args []string, s Streams) error {
		shown, opts, err := f.start(s)
		if err != nil {
			return err
		}
		defer shown.Close()
		places := place.Places{Access: f.access, In: s.In, Out: s.Out, Waiting: shown.Waiting}
		from, err := places.Source(ctx, args[0])
		if err != nil {
			return about(args[0], err)
		}
		defer from.Close()
		to, err := places.Target(ctx, args[1], from.Name)
		if err != nil {
			return about(args[1], err)
		}
		if to.Stdout {
			s.Out = io.Discard // nothing else goes there
		}
		d, err := transfer.Copy(ctx, to.Target, to.Reference, from.Source, from.Reference, opts)
		if err = to.Finish(about(args[0], err)); err != nil {
			return err
		}
		shown.Close()
		return f.copied(s, to.Name, d.Digest)
	}
}
