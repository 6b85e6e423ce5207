package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits bound what a connection may cost. The zero value of a field means its
// default.
type Limits struct {
	// Header is how long a request's header may take to arrive. 10 s.
	Header time.Duration
	// Idle is how long a connection may wait for its next request. 2 min.
	Idle time.Duration
	// HeaderBytes bounds a request's header. 256 KiB.
	HeaderBytes int
	// Window and Rate: in each Window, a body that is being received or sent must
	// move on by Rate bytes a second on average. 30 s, 1 KiB/s.
	Window time.Duration
	Rate   int64
	// Drain is how long requests may go on after the server was asked to stop.
	// 30 s.
	Drain time.Duration
}

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&l.Header, 10*time.Second)
	set(&l.Idle, 2*time.Minute)
	set(&l.Window, 30*time.Second)
	set(&l.Drain, 30*time.Second)
	if l.HeaderBytes == 0 {
		l.HeaderBytes = 256 << 10
	}
	if l.Rate == 0 {
		l.Rate = 1 << 10
	}
	return l
}

// Serve answers the connections of ln until ctx ends. Then it accepts no more,
// lets the requests under way finish for as long as the limits allow, and
// returns nil.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, limits Limits, log *slog.Logger) error {
	limits = limits.withDefaults()
	server := &http.Server{
		Handler:           paced(h, limits),
		ReadHeaderTimeout: limits.Header,
		IdleTimeout:       limits.Idle,
		MaxHeaderBytes:    limits.HeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), limits.Drain)
		defer cancel()
		err := server.Shutdown(drain)
		if errors.Is(err, context.DeadlineExceeded) {
			log.Warn("requests were cut off", "after", limits.Drain)
			err = server.Close()
		}
		stopped <- err
	})
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		if stop() {
			return err
		}
	}
	return <-stopped
}
