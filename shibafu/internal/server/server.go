// Package server puts the parts of a registry together. It is the one place that
// knows all of them, and it holds no logic of its own.
package server

import (
	"context"
	"fmt"
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
	root := storeRoot(config.Root)
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
	return s, nil
}

// storeRoot is where the store lies in a root: docker-registry keeps its own two
// folders further down, and what it wrote is served in place.
func storeRoot(root string) string {
	theirs := filepath.Join(root, "docker", "registry", "v2")
	if fi, err := os.Stat(theirs); err == nil && fi.IsDir() {
		return theirs
	}
	return root
}

func (c *Config) repoOptions() repo.Options {
	return repo.Options{Missing: repo.MissingPolicy(c.Missing), MaxManifest: c.Manifest, CacheBytes: c.Cache}
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
	return api.Serve(ctx, s.ln, s.mux, s.config.HTTP, s.log)
}

// Close lets go of the port and the store.
func (s *Server) Close() error {
	s.ln.Close()
	return s.files.Close()
}

// Check reads the store through and hands each fault to report, with whether it
// was mended. The summary is one line. Without repair it may run beside a server.
func Check(ctx context.Context, config *Config, repair bool, report func(fault string, mended bool)) (summary string, err error) {
	open := dir.OpenReadOnly
	if repair {
		open = dir.Open
	}
	files, err := open(storeRoot(config.Root))
	if err != nil {
		return "", err
	}
	defer files.Close()
	store := cas.New(files, cas.Distribution)
	blobs, faults := 0, 0
	for d, err := range store.Verify(ctx) {
		blobs++
		if err == nil {
			continue
		}
		if d.IsZero() {
			return "", err
		}
		faults++
		line := "blob " + d.String() + ": " + err.Error()
		if repair {
			if err := quarantine(ctx, files, store, d); err != nil {
				return "", err
			}
			line += " (moved to " + quarantineKey(d) + ")"
		}
		report(line, repair)
	}
	repos := repo.New(files, repo.CASBlobs{Store: store}, config.repoOptions())
	err = repos.Check(ctx, repair, func(f repo.Fault) {
		faults++
		report(f.String(), f.Mended != "")
	})
	return fmt.Sprintf("%d blobs read, %d faults", blobs, faults), err
}
