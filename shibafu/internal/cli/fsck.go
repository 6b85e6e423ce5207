package cli

import (
	"context"
	"fmt"
	"io"

	"shibafu.dev/shibafu/internal/server"
)

// fsck is "registry fsck".
func fsck(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := newFlags("registry fsck", stderr)
	repair := fs.Bool("repair", false, "mend what can be mended; no server may be running on the store")
	config, err := settle(fs, args, stdout, stderr)
	if err != nil {
		return err
	}
	if config.PrintConfig {
		return config.Print(stdout, fs)
	}
	left := 0
	summary, err := server.Check(ctx, config, *repair, func(fault string, mended bool) {
		if !mended {
			left++
		}
		fmt.Fprintln(stdout, fault)
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, summary)
	if left > 0 {
		return errFaults
	}
	return nil
}
