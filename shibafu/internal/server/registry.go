package server

import (
	"context"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step3-api/api"
	"shibafu.dev/step3-api/pullhttp"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step4-upload/uploadhttp"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step5-manifest/repohttp"
	"shibafu.dev/step7-security/guards"
	"shibafu.dev/step7-security/policy"
	"shibafu.dev/step7-security/quota"
)

func (c *Config) repoOptions() repo.Options {
	return repo.Options{Missing: repo.MissingPolicy(c.Missing), CacheBytes: c.Cache}
}

// build puts the registry together: its endpoints over its store, behind the guards.
func (s *Server) build(ctx context.Context) error {
	store := cas.New(s.files, cas.Distribution)
	s.keeper = quota.New(func() []policy.Quota { return s.guards.Policy().Quotas() })
	options := s.config.repoOptions()
	options.CanPull, options.Caller, options.Observer = s.guards.CanPull, guards.Caller, s.keeper
	s.repos = repo.New(s.files, repo.CASBlobs{Store: store}, options)
	var err error
	if s.uploads, err = upload.New(ctx, store, s.repos.CommitBlob, s.config.Uploads); err != nil {
		return err
	}
	s.uploads.Owner = guards.Caller
	ports := repohttp.Ports{Store: s.repos}
	writes := quota.Writes{Keeper: s.keeper, Store: s.repos, Next: s.repos}
	may := s.guards.May

	s.mux = api.NewMux(s.log)
	s.mux.PublicURL = s.config.PublicURL
	s.mux.Use(s.guards.Middleware()...)
	s.mux.Handle(endpoint.Base, api.Base)
	pullhttp.RegisterBlobs(s.mux, ports)
	pullhttp.RegisterManifests(s.mux, ports)
	uploadhttp.Register(s.mux, s.uploads, ports)
	repohttp.RegisterPush(s.mux, may.Pusher(writes), s.config.Manifest)
	repohttp.RegisterLists(s.mux, may.Tags(s.repos), s.repos, may.Catalog(s.repos))
	if s.config.Delete {
		pullhttp.RegisterBlobDelete(s.mux, ports)
		repohttp.RegisterDelete(s.mux, writes)
	}
	return nil
}
