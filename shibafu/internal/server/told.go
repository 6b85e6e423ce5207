package server

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"

	"shibafu.dev/step7-security/audit"
	"shibafu.dev/step7-security/audit/audithttp"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/authhttp"
	"shibafu.dev/step7-security/guards"
	"shibafu.dev/step7-security/health"
	"shibafu.dev/step7-security/observe"
	"shibafu.dev/step7-security/observe/figures"
	"shibafu.dev/step7-security/usage"
)

// told is what there is to be told of a server.
type told struct {
	audit  *audit.Log // nil if there is none
	events *audithttp.Recorder
	seen   func(shown, result string)
	usage  *usage.Counter
	health *health.Checker
	logs   []interface{ Reopen() error } // that other programs may rotate
}

// openAudit opens the audit log, if there is to be one.
func (s *Server) openAudit() (err error) {
	logs := &s.config.Logs
	file := logs.Audit
	switch file {
	case "off":
		return nil
	case "":
		file = filepath.Join(own(s.root), "audit.log")
		if err := os.MkdirAll(own(s.root), 0o700); err != nil {
			return err
		}
	}
	s.audit, err = audit.Open(audit.Options{File: file, Size: logs.AuditSize, Keep: logs.AuditKeep, Log: s.log})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.audit.Close)
	s.logs = append(s.logs, s.audit)
	s.events = audithttp.New(s.audit, guards.ClientOf)
	return nil
}

// tellGuards has the guards tell of requests.
func (s *Server) tellGuards(o *guards.Options) {
	s.seen = figures.Auth(s.metrics)
	o.Seen = func(r *http.Request, _ auth.Caller, err error) { s.seen(authhttp.Shown(r), authhttp.Result(err)) }
	if s.audit == nil {
		return
	}
	o.Done = s.events.Request
	o.Issued = func(r *http.Request, id auth.Identity, asked auth.Request) {
		if asked.Offline && id.Kind != auth.Anonymous {
			s.events.Login(r, id.Name, string(id.Kind))
		}
	}
}

// openTold makes what tells of the parts, once these are there.
func (s *Server) openTold() {
	s.mux.RequestID = observe.RequestID
	s.usage = usage.New(usage.Blobs(s.files), usage.Options{Log: s.log})
	checks := []health.Check{health.Storage(s.files), health.Loaded("keys", s.missingKeys)}
	if s.tls.files != nil {
		checks = append(checks, health.Certificates(s.tls.files.Expiry))
	}
	s.health = health.New(health.Options{Log: s.log}, checks...)
	s.declare()
}

// missingKeys is an error where tokens are given out and there is nothing to sign them.
func (s *Server) missingKeys() error {
	if s.guards.Asks() && s.guards.Keys() == nil {
		return errors.New("there are no keys to sign tokens with")
	}
	return nil
}

// declare declares the figures of the parts.
func (s *Server) declare() {
	m := s.metrics
	figures.Build(m, version())
	figures.Process(m)
	figures.Passwords(m, s.guards.Accounts().Waiting)
	figures.Limits(m, s.guards.Limits())
	figures.Sessions(m, s.uploads.Open, s.config.Uploads.Sessions)
	figures.Cache(m, s.repos.Stats)
	figures.Usage(m, s.usage.Last)
	figures.Space(m, func() (usage.Space, error) { return usage.SpaceOf(s.root) })
	figures.Files(m, s.watched())
	figures.Checks(m, func(yield func(string, bool)) {
		report, err := s.health.Ready(context.Background())
		if err != nil {
			return
		}
		for _, c := range report.Checks {
			yield(c.Name, c.OK)
		}
	})
	if s.tls.files != nil {
		figures.Certificate(m, s.tls.files.Expiry)
	}
	if s.audit != nil {
		figures.Audit(m, s.audit.Stats)
	}
}

// watched are what tells whether files are in force.
func (s *Server) watched() map[string]func() error {
	files := maps.Clone(s.guards.Files())
	if s.tls.files != nil {
		files["certificates"] = s.tls.files.Err
	}
	if s.tls.pool != nil {
		files["client CA"] = s.tls.pool.Err
	}
	return files
}

// runTold counts and syncs until ctx ends; from then on the server is not ready.
func (s *Server) runTold(ctx context.Context) {
	context.AfterFunc(ctx, s.health.Stop)
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { s.usage.Run(ctx) })
	if s.audit != nil {
		all.Go(func() { s.audit.Run(ctx) })
	}
}

// reopenLogs opens the files that other programs have rotated.
func (s *Server) reopenLogs() error {
	var errs []error
	for _, l := range s.logs {
		errs = append(errs, l.Reopen())
	}
	return errors.Join(errs...)
}

// version is that of the program, as far as that is known.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
