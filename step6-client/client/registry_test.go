package client_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/pullhttp"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step4-upload/uploadhttp"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step5-manifest/repohttp"
	"shibafu.dev/step6-client/client"
	"shibafu.dev/step6-client/wire"
)

// ports is what the handlers of the earlier steps stand on.
type ports struct {
	blobs     pullhttp.Blobs
	manifests pullhttp.Manifests
	blobEnd   pullhttp.BlobDeleter
	mounter   uploadhttp.Mounter
	pusher    repohttp.Pusher
	deleter   repohttp.Deleter
	tags      repohttp.Tags
	catalog   repohttp.Catalog
	referrers repohttp.Referrers
	commit    upload.Commit
}

// A client has them all.
func portsOf(c *client.Client) ports { return ports{c, c, c, c, c, c, c, c, c, c.CommitBlob} }

// handler is a registry over ports; sessions are kept in b.
func handler(t *testing.T, b bucket.Bucket, p ports) *api.Mux {
	t.Helper()
	uploads, err := upload.New(t.Context(), cas.New(b, cas.Distribution), p.commit, upload.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	mux := api.NewMux(slog.New(slog.NewTextHandler(t.Output(), nil)))
	mux.Handle(endpoint.Base, api.Base)
	pullhttp.RegisterBlobs(mux, p.blobs)
	pullhttp.RegisterManifests(mux, p.manifests)
	pullhttp.RegisterBlobDelete(mux, p.blobEnd)
	uploadhttp.Register(mux, uploads, p.mounter)
	repohttp.RegisterPush(mux, p.pusher, manifest.MaxSize)
	repohttp.RegisterDelete(mux, p.deleter)
	repohttp.RegisterLists(mux, p.tags, p.referrers, p.catalog)
	return mux
}

// registry is a whole one in memory.
func registry(t *testing.T) *api.Mux {
	t.Helper()
	b := mem.New()
	repos := repo.New(b, repo.CASBlobs{Store: cas.New(b, cas.Distribution)}, repo.Options{})
	from := repohttp.Ports{Store: repos}
	return handler(t, b, ports{from, from, from, from, repos, repos, repos, repos, repos, repos.CommitBlob})
}

// serve listens on an address of this machine until the test ends, and returns
// "host:port".
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	go func() { served <- api.Serve(ctx, ln, h, api.Limits{}, log) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func newClient(t *testing.T, host string, opts client.Options) *client.Client {
	t.Helper()
	c, err := client.New(host, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// impatient repeats nothing.
var impatient = client.Options{Options: wire.Options{Retries: -1}}

var aName, otherName = ref.MustName("team/app"), ref.MustName("team/other")

func digestOf(content string) digest.Digest { return digest.FromBytes([]byte(content)) }
