// Shibafu is an OCI registry, a client of registries and a runner of containers, in one
// static binary.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"shibafu.dev/shibafu/internal/cli"
	"shibafu.dev/shibafu/internal/container"
)

func main() {
	if code, done := container.Reenter(); done {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal does not wait
	code := cli.Run(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}
