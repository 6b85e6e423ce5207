// Step 7 is the registry of step 5 with what makes it fit to run: users and tokens,
// rights, limits, TLS, a log and figures. No handler of steps 3 to 5 knows of it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

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
	"shibafu.dev/step7-security/guards"
	"shibafu.dev/step7-security/observe/metrics"
	"shibafu.dev/step7-security/policy"
	"shibafu.dev/step7-security/quota"
	"shibafu.dev/step7-security/ratelimit"
)

// usual is what one source may do: as much as a machine with many workers needs.
var usual = ratelimit.Limits{Requests: ratelimit.Rate{PerSecond: 500, Burst: 2000}, AtOnce: 200, Queue: 200, Wait: 5 * time.Second}

func main() {
	addr := flag.String("addr", "127.0.0.1:5007", "`host:port` to listen on")
	root := flag.String("root", filepath.Join(os.TempDir(), "shibafu-step7"), "`folder` to keep the registry in")
	rules := flag.String("policy", "", "`file` of rules; without one, users may pull, push, delete and see the catalog, and nobody else anything")
	secure := flag.Bool("tls", false, "speak TLS, with a certificate of an authority that is made for it")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: step7-security [flags]\n       step7-security [flags] user NAME    add a user, whose password is the first line of stdin")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case flag.NArg() == 0:
		err = run(ctx, options{*addr, *root, *rules, *secure}, os.Stdout, os.Stderr)
	case flag.NArg() == 2 && flag.Arg(0) == "user":
		err = addUser(*root, flag.Arg(1), os.Stdin)
	default:
		flag.Usage()
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "step7-security:", err)
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	addr, root, rules string
	secure            bool
}

// newGuards opens what stands between clients and the registry.
func newGuards(o options, counted *metrics.Registry, log *slog.Logger) (*guards.Guards, error) {
	return guards.New(guards.Options{Folder: own(o.root), Policy: o.rules, Ask: true, Limits: usual, Access: log, Metrics: counted, Log: log})
}

func run(ctx context.Context, o options, out, logs io.Writer) error {
	files, err := dir.Open(o.root)
	if err != nil {
		return err
	}
	defer files.Close()
	log := slog.New(slog.NewTextHandler(logs, nil))
	counted := &metrics.Registry{}
	g, err := newGuards(o, counted, log)
	if err != nil {
		return err
	}
	store := cas.New(files, cas.Distribution)
	keeper := quota.New(func() []policy.Quota { return g.Policy().Quotas() })
	repos := repo.New(files, repo.CASBlobs{Store: store}, repo.Options{CanPull: g.CanPull, Observer: keeper})
	count := func() { keeper.Run(ctx, repos, log) }
	go count()
	go g.Run(ctx, count)
	uploads, err := upload.New(ctx, store, repos.CommitBlob, upload.Limits{})
	if err != nil {
		return err
	}
	defer uploads.Close(context.WithoutCancel(ctx))
	go uploads.Run(ctx)
	ln, err := listen(o, log)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "serving %s on %s://%s\n", o.root, scheme(o), ln.Addr())

	mux := api.NewMux(log)
	mux.Use(g.Middleware()...)
	mux.Handle(endpoint.Base, api.Base)
	ports := repohttp.Ports{Store: repos}
	pullhttp.RegisterBlobs(mux, ports)
	pullhttp.RegisterManifests(mux, ports)
	pullhttp.RegisterBlobDelete(mux, ports)
	uploadhttp.Register(mux, uploads, ports)
	writes := quota.Writes{Keeper: keeper, Store: repos, Next: repos}
	repohttp.RegisterPush(mux, g.May.Pusher(writes), manifest.MaxSize)
	repohttp.RegisterDelete(mux, writes)
	repohttp.RegisterLists(mux, g.May.Tags(repos), repos, g.May.Catalog(repos))

	return api.Serve(ctx, ln, g.Handler(mux, map[string]http.Handler{"metrics": figures(counted, g)}), api.Limits{}, log)
}
