package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step7-security/adminhttp"
	"shibafu.dev/step7-security/audit"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/socket"
	"shibafu.dev/step7-security/usage"
)

// administered is how a server is looked after while it runs.
type administered struct {
	socket  *socket.Listener
	started time.Time
	level   *slog.LevelVar // nil if the log's level stays as it is
}

// LogLevel has the level of the server's log be changed by those who look after it. It is
// called before Serve.
func (s *Server) LogLevel(level *slog.LevelVar) { s.level = level }

// openSocket makes the socket for those who look after the registry.
func (s *Server) openSocket() error {
	path, err := s.config.SocketPath()
	if err != nil {
		return err
	}
	if s.socket, err = socket.Listen(path); err != nil {
		return err
	}
	s.closers = append(s.closers, s.socket.Close)
	s.started = time.Now()
	return nil
}

// serveSocket answers on the socket until ctx ends.
func (s *Server) serveSocket(ctx context.Context) error {
	api, err := adminhttp.New(s.adminPorts(), adminhttp.Options{Trusted: true, Changed: s.tellOnSocket, Log: s.log})
	if err != nil {
		return err
	}
	return adminhttp.ServeSocket(ctx, s.socket, api, s.log)
}

// verdict is what came of asking whether a request's caller may administer.
type verdict struct{ err error }

type verdictKey struct{}

// adminOnPort is the same API for those who come to the registry's port, and may.
func (s *Server) adminOnPort() http.Handler {
	authorize := func(r *http.Request) error {
		if v, ok := r.Context().Value(verdictKey{}).(verdict); ok {
			return v.err
		}
		return ocierr.Denied
	}
	api, err := adminhttp.New(s.adminPorts(), adminhttp.Options{Authorize: authorize, Changed: s.tellOnPort, Log: s.log})
	if err != nil {
		panic(err) // the options are fixed
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := s.guards.MayAdmin(r)
		ctx := context.WithValue(auth.WithCaller(r.Context(), caller), verdictKey{}, verdict{err})
		api.ServeHTTP(w, r.WithContext(ctx))
	})
}

// adminPorts are what is looked after.
func (s *Server) adminPorts() adminhttp.Ports {
	return adminhttp.Ports{
		Directory: s.guards.Directory(), Rules: s.guards.Rules(), Keys: s.guards.SigningKeys(),
		Sessions: s.uploads, Stats: s.stats, LogLevel: s.level, Health: s.checks,
		Reload: []adminhttp.Reloader{
			{Name: "users and rules", Reload: s.guards.Reload},
			{Name: "certificates", Reload: s.tls.reload},
			{Name: "logs", Reload: s.reopenLogs},
		},
	}
}

// stats are the server's figures, as they were counted last.
func (s *Server) stats() adminhttp.Stats {
	stats := adminhttp.Stats{Version: version(), Started: s.started, Authentication: s.guards.Asks()}
	if last, counted := s.usage.Last(); !counted.IsZero() {
		stats.Stored = &adminhttp.Stored{Blobs: int64(last.Blobs), Bytes: int64(last.Bytes), Counted: counted}
	}
	if space, err := usage.SpaceOf(s.root); err == nil {
		stats.Disk = &adminhttp.Disk{Total: int64(space.Total), Free: int64(space.Free)}
	}
	return stats
}

// checks say what the server lacks; why is in its log.
func (s *Server) checks(ctx context.Context) []adminhttp.Check {
	report, err := s.health.Ready(ctx)
	if err != nil {
		return []adminhttp.Check{{Name: "checks", Err: err}}
	}
	var all []adminhttp.Check
	for _, r := range report.Checks {
		check := adminhttp.Check{Name: r.Name}
		if !r.OK {
			check.Err = errors.New("not well: the log says why")
		}
		all = append(all, check)
	}
	return all
}

// tellOnSocket tells the audit log of a change over the socket, by whoever the kernel says
// it was.
func (s *Server) tellOnSocket(r *http.Request, action, target string, err error) {
	e := audit.Event{Kind: "socket", Agent: r.UserAgent()}
	if peer, ok := socket.From(r.Context()); ok {
		e.Identity = "uid " + strconv.FormatUint(uint64(peer.UID), 10)
	}
	s.tellAdmin(e, action, target, err)
}

// tellOnPort tells it of a change by somebody who has said who they are. Who was refused
// is told of with all others.
func (s *Server) tellOnPort(r *http.Request, action, target string, err error) {
	if s.audit == nil {
		return
	}
	e, id := s.events.Event(r), auth.CallerOf(r.Context()).Identity
	e.Identity, e.Kind = id.Name, string(id.Kind)
	s.tellAdmin(e, action, target, err)
}

// tellAdmin tells of what was done, and of what a fault kept from being done.
func (s *Server) tellAdmin(e audit.Event, action, target string, err error) {
	if s.audit == nil {
		return
	}
	e.Time, e.Action, e.Target, e.Right, e.Result = time.Now(), action, target, "admin", audit.Done
	if err != nil {
		told := adminhttp.ErrorOf(err)
		if told.Status < http.StatusInternalServerError && told.Code != "NOT_IN_FORCE" {
			return
		}
		e.Result, e.Status, e.Code = audit.Failed, told.Status, string(told.Code)
	}
	s.audit.Write(e)
}
