package adminhttp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"shibafu.dev/step7-security/socket"
)

// What a connection to the socket may cost. A command asks little, and at once.
const (
	headerTime  = 10 * time.Second
	requestTime = time.Minute
	drainTime   = 10 * time.Second
	headerBytes = 64 << 10
)

// ServeSocket answers on the socket until ctx ends, lets the requests under way finish, and
// removes it. A request's context tells who it comes from: socket.From.
func ServeSocket(ctx context.Context, ln *socket.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ConnContext:       socket.ConnContext,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       requestTime,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		err := server.Shutdown(drain)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		stopped <- err
	})
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) && stop() {
		return errors.Join(err, ln.Close())
	}
	return <-stopped
}
