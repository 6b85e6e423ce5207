// Step 3 is a registry that can only be pulled from: the HTTP frame, over a
// store in memory that holds one small image.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/pullhttp"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:5003", "`host:port` to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr); err != nil {
		fmt.Fprintln(os.Stderr, "step3-api:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, addr string) error {
	store := cas.New(mem.New(), cas.Distribution)
	catalog, err := seed(ctx, store)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("serving on http://%s\n", ln.Addr())
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))

	mux := api.NewMux(log)
	mux.Handle(endpoint.Base, api.Base)
	pullhttp.RegisterBlobs(mux, pullhttp.Bare{Store: store})
	pullhttp.RegisterManifests(mux, catalog)

	return api.Serve(ctx, ln, mux, api.Limits{}, log)
}
