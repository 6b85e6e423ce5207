// Step 5 is a complete registry without authentication: manifests, tags, lists and
// deletions over what step 4 has.
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

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/pullhttp"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step4-upload/uploadhttp"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step5-manifest/repohttp"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:5005", "`host:port` to listen on")
	root := flag.String("root", filepath.Join(os.TempDir(), "shibafu-step5"), "`folder` to keep the registry in")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *root); err != nil {
		fmt.Fprintln(os.Stderr, "step5-manifest:", err)
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
	repos := repo.New(files, repo.CASBlobs{Store: store}, repo.Options{})
	uploads, err := upload.New(ctx, store, repos.CommitBlob, upload.Limits{})
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
	ports := repohttp.Ports{Store: repos}
	pullhttp.RegisterBlobs(mux, ports)
	pullhttp.RegisterManifests(mux, ports)
	pullhttp.RegisterBlobDelete(mux, ports)
	uploadhttp.Register(mux, uploads, ports)
	repohttp.RegisterPush(mux, repos, manifest.MaxSize)
	repohttp.RegisterDelete(mux, repos)
	repohttp.RegisterLists(mux, repos, repos, repos)

	return api.Serve(ctx, ln, mux, api.Limits{}, log)
}
