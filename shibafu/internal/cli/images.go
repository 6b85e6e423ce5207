package cli

import (
	"context"
	"flag"
	"fmt"
)

// images is "images": what the local store has.
func images(fs *flag.FlagSet) action {
	var f storeFlag
	f.define(fs)
	return func(ctx context.Context, _ []string, s Streams) error {
		local, err := f.open(ctx)
		if err != nil {
			return err
		}
		defer local.Close()
		list, err := local.Images(ctx)
		if err != nil {
			return err
		}
		for _, i := range list {
			if _, err := fmt.Fprintf(s.Out, "%s %s\n", i.Name, i.Descriptor.Digest); err != nil {
				return err
			}
		}
		return nil
	}
}
