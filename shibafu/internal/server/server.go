// Package server puts the parts of a registry together. It is the one place that
// knows all of them, and it holds no logic of its own.
//
// Reading order: server.go (what runs), registry.go (the endpoints), access.go (who gets
// there, and how), told.go (what is told of it), beside.go (what is served beside the
// registry), administer.go (how it is looked after), offline.go (also where it is not
// served); config.go, settle.go (the settings); check.go (the store while no server
// runs).
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step7-security/guards"
	"shibafu.dev/step7-security/observe/metrics"
	"shibafu.dev/step7-security/quota"
	"shibafu.dev/step7-security/tlsconf"
)

// Server is a registry that is ready to serve.
type Server struct {
	config  *Config
	log     *slog.Logger
	root    string
	files   *dir.Bucket
	repos   *repo.Store
	uploads *upload.Manager
	keeper  *quota.Keeper
	guards  *guards.Guards
	metrics *metrics.Registry
	tls     transport
	told
	administered
	mux     *api.Mux
	ln      net.Listener
	admin   net.Listener // nil if there is none
	closers []func() error
}

// Open opens the store and the ports. The caller closes the server.
func Open(ctx context.Context, config *Config, log *slog.Logger) (*Server, error) {
	root, err := storeRoot(config.Root)
	if err != nil {
		return nil, err
	}
	s := &Server{config: config, log: log, root: root, metrics: &metrics.Registry{}}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.warn()
	return s, nil
}

// open opens all parts. What it opened before an error is closed by close.
func (s *Server) open(ctx context.Context) (err error) {
	if s.files, err = dir.Open(s.root); err != nil {
		return err
	}
	s.closers = append(s.closers, s.files.Close)
	if err := s.openAudit(); err != nil {
		return err
	}
	if err := s.openGuards(); err != nil {
		return err
	}
	if err := s.build(ctx); err != nil {
		return err
	}
	s.openTold()
	s.openSocket()
	return s.listen()
}

// listen opens the ports.
func (s *Server) listen() (err error) {
	if s.ln, err = net.Listen("tcp", s.config.Addr); err != nil {
		return err
	}
	s.closers = append(s.closers, s.ln.Close)
	if err := tlsconf.MayStart(s.ln.Addr(), s.guards.Asks(), s.config.AllowAnonymousAll); err != nil {
		return &openError{err}
	}
	s.ln = s.tls.wrap(s.ln)
	if s.config.Admin == "" {
		return nil
	}
	if s.admin, err = net.Listen("tcp", s.config.Admin); err != nil {
		return err
	}
	s.closers = append(s.closers, s.admin.Close)
	return nil
}

// openError says what to do about a registry that would be open to all.
type openError struct{ error }

func (e *openError) Error() string {
	return e.error.Error() + ": make a user with \"shibafu registry user add\", or say --allow-anonymous-all"
}

func (e *openError) Unwrap() error { return e.error }

// warn says so if others than this machine's own programs may come, and are not asked
// who they are.
func (s *Server) warn() {
	if at, ok := s.ln.Addr().(*net.TCPAddr); s.guards.Asks() || ok && at.IP.IsLoopback() {
		return
	}
	can := "pull and push"
	if s.config.Delete {
		can = "pull, push and delete"
	}
	s.log.Warn("there is no authentication: anyone who reaches this address can "+can, "addr", s.ln.Addr().String())
}

// storeRoot is where the store lies in a root: docker-registry keeps its own two
// folders further down, and what it wrote is served in place.
func storeRoot(root string) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	theirs := filepath.Join(root, "docker", "registry", "v2")
	if fi, err := os.Stat(theirs); err == nil && fi.IsDir() {
		return theirs, nil
	}
	return root, nil
}

// own is the folder for what is the server's own in a store's root.
func own(root string) string { return filepath.Join(root, "shibafu") }

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// URL is the same with a scheme before it.
func (s *Server) URL() string { return s.tls.scheme() + "://" + s.Addr().String() }

// AdminAddr is where figures are served; nil if nowhere.
func (s *Server) AdminAddr() net.Addr {
	if s.admin == nil {
		return nil
	}
	return s.admin.Addr()
}

// CA is the file that clients are to trust, "" where they need not be told.
func (s *Server) CA() string { return s.tls.ca }

// Root is the folder that the data is in.
func (s *Server) Root() string { return s.root }

// Reload reads users, rules, and certificates again, and opens the logs anew. What is bad
// is not taken over, and is in the log.
func (s *Server) Reload() {
	if err := errors.Join(s.guards.Reload(), s.tls.reload(), s.reopenLogs()); err != nil {
		s.log.Error("something could not be read again, and is as it was before", "cause", err)
		return
	}
	s.log.Info("everything was read again")
}

// Serve answers requests until ctx ends and those under way are done.
func (s *Server) Serve(ctx context.Context) error {
	var background sync.WaitGroup
	defer background.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for _, run := range []func(context.Context){s.uploads.Run, s.runGuards, s.tls.run, s.runTold} {
		background.Go(func() { run(ctx) })
	}
	requests := &underway{handler: s.guards.Handler(s.mux, s.beside())}
	defer requests.end()
	besides := []func(context.Context) error{s.serveSocket}
	if s.admin != nil {
		besides = append(besides, func(ctx context.Context) error {
			return api.Serve(ctx, s.admin, s.adminHandler(), s.config.HTTP, s.log)
		})
	}
	ended := make(chan error, len(besides))
	for _, serve := range besides {
		background.Go(func() {
			ended <- serve(ctx)
			stop()
		})
	}
	err := api.Serve(ctx, s.ln, requests, s.config.HTTP, s.log)
	stop()
	for range besides {
		err = errors.Join(err, <-ended)
	}
	return err
}

// runGuards keeps users and rules up to date, and counts what there are quotas for.
func (s *Server) runGuards(ctx context.Context) {
	var counting sync.WaitGroup
	defer counting.Wait()
	count := func() { counting.Go(func() { s.keeper.Run(ctx, s.repos, s.log) }) }
	count()
	s.guards.Run(ctx, count)
}

// Close lets go of the ports and the store, once Serve has returned.
func (s *Server) Close() error {
	return errors.Join(s.uploads.Close(context.Background()), s.close())
}

// close closes what was opened, the last first.
func (s *Server) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i](); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
