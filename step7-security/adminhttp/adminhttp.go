// Package adminhttp is the API of who looks after a registry: JSON under /admin/v1/, over a
// unix socket, and over TCP for those who may. adminhttp.go says what it is made of,
// route.go has the table of what there is, call.go what all of it has in common; users.go,
// rules.go and server.go are the resources; serve.go answers on a socket, client.go is the
// other side.
package adminhttp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step7-security/admin"
	"shibafu.dev/step7-security/auth/keys"
)

// Prefix is what all paths of the API begin with.
const Prefix = "/admin/v1/"

// MaxBody is the largest body of a request, in bytes.
const MaxBody = 1 << 20

// ErrOptions are options that cannot be.
var ErrOptions = errors.New("bad options of the admin API")

// Ports are what is looked after. What is nil is not there: 404.
type Ports struct {
	Directory *admin.Directory
	Rules     *admin.Rules
	Keys      Keys
	Sessions  Sessions
	Stats     func() Stats
	LogLevel  *slog.LevelVar
	// Reload are what can be read again, in order.
	Reload []Reloader
	Health func(ctx context.Context) []Check
}

// Keys are what tokens are signed with; guards.Signing is one.
type Keys interface {
	List() ([]keys.Info, error)
	Rotate() error
}

// Sessions are the open uploads; upload.Manager is one.
type Sessions interface {
	Sessions() []upload.Session
	End(ctx context.Context, id string) error
}

// Stats are the figures of a server.
type Stats struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	// Authentication is whether users are asked who they are; else all may do all.
	Authentication bool `json:"authentication"`
	// Stored is nil as long as nothing was counted.
	Stored *Stored `json:"stored,omitempty"`
	// Disk is nil where it is not known.
	Disk *Disk `json:"disk,omitempty"`
}

// Stored is what the registry holds, as it was counted last.
type Stored struct {
	Blobs   int64     `json:"blobs"`
	Bytes   int64     `json:"bytes"`
	Counted time.Time `json:"counted"`
}

// Disk is the file system of the store, in bytes.
type Disk struct {
	Total int64 `json:"total"`
	Free  int64 `json:"free"` // to the server
}

// Reloader reads something again: "users", "policy", "certificates".
type Reloader struct {
	Name   string
	Reload func() error
}

// Check is the outcome of a check of health; Err is nil if all is well.
type Check struct {
	Name string
	Err  error
}

// Options say who may use the API, and who is told.
type Options struct {
	// Trusted is set for a listener that only the owner of the registry can reach: all may
	// do all, and are told the cause of faults. Else Authorize is asked about each request;
	// its errors are ocierr's.
	Trusted   bool
	Authorize func(r *http.Request) error
	// Changed is told of each change, with the error if it failed, and of each request that
	// was refused: action is "add user", target what it is done to ("alice"), "" where it is
	// not known. May be nil. err holds no secret.
	Changed func(r *http.Request, action, target string, err error)
	// Log is told the causes of faults.
	Log *slog.Logger
}

// New makes the API. Its errors are ErrOptions.
func New(p Ports, o Options) (http.Handler, error) {
	if o.Trusted == (o.Authorize != nil) { // neither would let everybody in
		return nil, errors.Join(ErrOptions, errors.New("want either to trust all or to ask"))
	}
	if o.Trusted {
		o.Authorize = func(*http.Request) error { return nil }
	}
	if o.Changed == nil {
		o.Changed = func(*http.Request, string, string, error) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &api{Ports: p, opts: o, origin: http.NewCrossOriginProtection(), mux: http.NewServeMux()}
	a.route()
	return a, nil
}

// api is a http.Handler.
type api struct {
	Ports
	opts   Options
	origin *http.CrossOriginProtection
	mux    *http.ServeMux
}
