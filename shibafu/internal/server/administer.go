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

// openSocket makes the socket for those who look after the registry. Without one it is
// served all the same: where the disk is full, so that there may be room again.
func (s *Server) openSocket() {
	s.started = time.Now()
	path, err := s.config.SocketPath()
	if err == nil {
		s.socket, err = socket.Listen(path)
	}
	if err != nil {
		s.log.Error("the commands that look after the registry find no server", "cause", err)
		return
	}
	s.closers = append(s.closers, s.socket.Close)
}

// serveSocket answers on the socket, if there is one, until ctx ends.
func (s *Server) serveSocket(ctx context.Context) error {
	if s.socket == nil {
		<-ctx.Done()
		return nil
	}
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
	who := ""
	if peer, ok := socket.From(r.Context()); ok {
		who = "uid " + strconv.FormatUint(uint64(peer.UID), 10)
	}
	s.tellChange(r, who, "socket", action, target, err)
}

// tellOnPort tells it of a change by somebody who has said who they are.
func (s *Server) tellOnPort(r *http.Request, action, target string, err error) {
	id := auth.CallerOf(r.Context()).Identity
	s.tellChange(r, id.Name, string(id.Kind), action, target, err)
}

func (s *Server) tellChange(r *http.Request, who, kind, action, target string, err error) {
	if s.audit != nil {
		s.events.Change(r, who, kind, action, target, err)
	}
}
