// Step 7 is the registry of step 5 with what makes it fit to run: users and tokens,
// rights, limits, TLS, a log and figures. No handler of steps 3 to 5 knows of it.
package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
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
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/password"
	"shibafu.dev/step7-security/quota"
	"shibafu.dev/step7-security/tlsconf"
)

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
		err = run(ctx, options{*addr, *root, *rules, *secure}, os.Stdout)
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

// own is the folder below the root that holds users, keys and certificates.
func own(root string) string { return filepath.Join(root, "shibafu") }

func addUser(root, name string, in io.Reader) error {
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	hash, err := password.Make(strings.TrimRight(line, "\r\n"), 0)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(own(root), 0o700); err != nil {
		return err
	}
	return auth.Edit(filepath.Join(own(root), "users.json"), func(d *auth.Directory) error { return d.SetUser(name, hash) })
}

func run(ctx context.Context, o options, out io.Writer) error {
	files, err := dir.Open(o.root)
	if err != nil {
		return err
	}
	defer files.Close()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	g, err := newGuards(ctx, o, log)
	if err != nil {
		return err
	}
	store := cas.New(files, cas.Distribution)
	keeper := quota.New(g.quotas)
	repos := repo.New(files, repo.CASBlobs{Store: store}, repo.Options{CanPull: g.who.CanPull, Observer: keeper})
	count := func() { keeper.Run(ctx, repos, log) }
	go count()
	go g.follow(ctx, count)
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
	mux.Use(g.middleware()...)
	mux.Handle(endpoint.Base, api.Base)
	ports := repohttp.Ports{Store: repos}
	pullhttp.RegisterBlobs(mux, ports)
	pullhttp.RegisterManifests(mux, ports)
	pullhttp.RegisterBlobDelete(mux, ports)
	uploadhttp.Register(mux, uploads, ports)
	writes := quota.Writes{Keeper: keeper, Store: repos, Next: repos}
	repohttp.RegisterPush(mux, g.may.Pusher(writes), manifest.MaxSize)
	repohttp.RegisterDelete(mux, writes)
	repohttp.RegisterLists(mux, g.may.Tags(repos), repos, g.may.Catalog(repos))

	return api.Serve(ctx, ln, g.handler(mux), api.Limits{}, log)
}

func scheme(o options) string {
	if o.secure {
		return "https"
	}
	return "http"
}

// listen listens, with TLS if that is wished.
func listen(o options, log *slog.Logger) (net.Listener, error) {
	ln, err := net.Listen("tcp", o.addr)
	if err != nil || !o.secure {
		return ln, err
	}
	host, _, _ := net.SplitHostPort(o.addr)
	certs, err := tlsconf.OpenSelfSigned(filepath.Join(own(o.root), "tls"), cmp.Or(host, "localhost"))
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	log.Info("clients have to trust an authority", "file", certs.CA())
	return tls.NewListener(ln, tlsconf.Server(certs, tlsconf.ClientNone, nil)), nil
}
