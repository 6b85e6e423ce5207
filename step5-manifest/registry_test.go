package main

import (
	"log/slog"
	"net"
	"testing"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/apitest"
	"shibafu.dev/step3-api/pullhttp"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step4-upload/uploadhttp"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step5-manifest/repohttp"
)

// The registry answers as the specification wants it, and refuses what it must,
// over each kind of bucket; and afterwards nothing in the bucket is at fault.
func TestRegistry(t *testing.T) {
	t.Run("mem", func(t *testing.T) { testRegistry(t, mem.New()) })
	t.Run("dir", func(t *testing.T) {
		files, err := dir.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer files.Close()
		testRegistry(t, files)
	})
}

func testRegistry(t *testing.T, b bucket.Bucket) {
	ctx := t.Context()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	store := cas.New(b, cas.Distribution)
	repos := repo.New(b, repo.CASBlobs{Store: store}, repo.Options{})
	uploads, err := upload.New(ctx, store, repos.CommitBlob, upload.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	mux, ports := api.NewMux(log), repohttp.Ports{Store: repos}
	mux.Handle(endpoint.Base, api.Base)
	pullhttp.RegisterBlobs(mux, ports)
	pullhttp.RegisterManifests(mux, ports)
	pullhttp.RegisterBlobDelete(mux, ports)
	uploadhttp.Register(mux, uploads, ports)
	repohttp.RegisterPush(mux, repos, manifest.MaxSize)
	repohttp.RegisterDelete(mux, repos)
	repohttp.RegisterLists(mux, repos, repos, repos)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- api.Serve(ctx, ln, mux, api.Limits{}, log) }()

	apitest.Registry(t, "http://"+ln.Addr().String())

	ln.Close()
	<-served
	for d, err := range store.Verify(ctx) {
		if err != nil {
			t.Errorf("blob %s: %v", d, err)
		}
	}
	if err := repos.Check(ctx, false, func(f repo.Fault) { t.Errorf("fault: %s", f) }); err != nil {
		t.Error(err)
	}
}
