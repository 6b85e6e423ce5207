package cli

import (
	"context"
	"flag"
	"fmt"

	"shibafu.dev/shibafu/internal/server"
)

// fsck is "registry fsck".
func fsck(fs *flag.FlagSet) action {
	repair := fs.Bool("repair", false, "mend what can be mended; no server may be running on the store")
	config := server.NewConfig(fs)
	return func(ctx context.Context, _ []string, s Streams) error {
		if err := settle(config, fs, s); err != nil {
			return err
		}
		if config.PrintConfig {
			return config.Print(s.Out, fs)
		}
		return check(ctx, config, *repair, s)
	}
}

// check prints the faults, and returns errFaults if any are left.
func check(ctx context.Context, config *server.Config, repair bool, s Streams) error {
	left := 0
	summary, err := server.Check(ctx, config, repair, func(fault string, mended bool) {
		if !mended {
			left++
		}
		fmt.Fprintln(s.Out, fault)
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(s.Out, summary)
	if left > 0 {
		return errFaults
	}
	return nil
}
