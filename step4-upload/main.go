// Step 4 takes blobs: the frame of step 3, with upload sessions over a store on
// disk. Manifests come with step 5.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/pullhttp"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step4-upload/uploadhttp"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:5004", "`host:port` to listen on")
	root := flag.String("root", filepath.Join(os.TempDir(), "shibafu-step4"), "`folder` to keep blobs in")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *root); err != nil {
		fmt.Fprintln(os.Stderr, "step4-upload:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, addr, root string) error {
	files, err := dir.Open(root)
	if err != nil {
		return err
	}
	defer files.Close()
	store := cas.New(files, cas.Distribution)
	uploads, err := upload.New(ctx, store, upload.CommitBare, upload.Limits{})
	if err != nil {
		return err
	}
	defer uploads.Close(context.WithoutCancel(ctx))
	go uploads.Run(ctx)
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("serving %s on http://%s\n", root, ln.Addr())
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))

	mux := api.NewMux(log)
	mux.Handle(endpoint.Base, api.Base)
	pullhttp.RegisterBlobs(mux, pullhttp.Bare{Store: store})
	uploadhttp.Register(mux, uploads, bareMounter{store})

	return api.Serve(ctx, ln, mux, api.Limits{}, log)
}

// bareMounter mounts what the store has: without repositories there is nothing to
// be done.
type bareMounter struct{ store *cas.Store }

func (m bareMounter) MountBlob(ctx context.Context, _, _ ref.Name, d digest.Digest) error {
	_, err := m.store.Stat(ctx, d)
	return err
}
