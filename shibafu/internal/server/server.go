// Package server puts the parts of a registry together. It is the one place that
// knows all of them, and it holds no logic of its own.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/pullhttp"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step4-upload/uploadhttp"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step5-manifest/repohttp"
)

// Server is a registry that is ready to serve.
type Server struct {
	config  *Config
	log     *slog.Logger
	root    string
	files   *dir.Bucket
	uploads *upload.Manager
	mux     *api.Mux
	ln      net.Listener
}

// Open opens the store and the port. The caller closes the server.
func Open(ctx context.Context, config *Config, log *slog.Logger) (*Server, error) {
	root, err := storeRoot(config.Root)
	if err != nil {
		return nil, err
	}
	files, err := dir.Open(root)
	if err != nil {
		return nil, err
	}
	s := &Server{config: config, log: log, root: root, files: files}
	if err := s.build(ctx, files); err != nil {
		files.Close()
		return nil, err
	}
	if s.ln, err = net.Listen("tcp", config.Addr); err != nil {
		files.Close()
		return nil, err
	}
	s.warn()
	return s, nil
}

// warn says so if others than this machine's own programs may come.
func (s *Server) warn() {
	if at, ok := s.ln.Addr().(*net.TCPAddr); ok && at.IP.IsLoopback() {
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

func (c *Config) repoOptions() repo.Options {
	return repo.Options{Missing: repo.MissingPolicy(c.Missing), CacheBytes: c.Cache}
}

func (s *Server) build(ctx context.Context, files bucket.Bucket) error {
	store := cas.New(files, cas.Distribution)
	repos := repo.New(files, repo.CASBlobs{Store: store}, s.config.repoOptions())
	var err error
	if s.uploads, err = upload.New(ctx, store, repos.CommitBlob, s.config.Uploads); err != nil {
		return err
	}
	ports := repohttp.Ports{Store: repos}
	s.mux = api.NewMux(s.log)
	s.mux.PublicURL = s.config.PublicURL
	s.mux.Handle(endpoint.Base, api.Base)
	pullhttp.RegisterBlobs(s.mux, ports)
	pullhttp.RegisterManifests(s.mux, ports)
	uploadhttp.Register(s.mux, s.uploads, ports)
	repohttp.RegisterPush(s.mux, repos, s.config.Manifest)
	repohttp.RegisterLists(s.mux, repos, repos, repos)
	if s.config.Delete {
		pullhttp.RegisterBlobDelete(s.mux, ports)
		repohttp.RegisterDelete(s.mux, repos)
	}
	return nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Root is the folder that the data is in.
func (s *Server) Root() string { return s.root }

// Serve answers requests until ctx ends and those under way are done.
func (s *Server) Serve(ctx context.Context) error {
	var background sync.WaitGroup
	defer background.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	background.Go(func() { s.uploads.Run(ctx) })
	requests := &underway{handler: s.mux}
	defer requests.end()
	return api.Serve(ctx, s.ln, requests, s.config.HTTP, s.log)
}

// Close lets go of the port and the store, once Serve has returned.
func (s *Server) Close() error {
	s.ln.Close()
	return errors.Join(s.uploads.Close(context.Background()), s.files.Close())
}
