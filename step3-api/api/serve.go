package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// What Limits are where they are not set.
const (
	DefaultHeader      = 10 * time.Second
	DefaultHeaderBytes = 256 << 10
	DefaultIdle        = 2 * time.Minute
	DefaultWindow      = 30 * time.Second
	DefaultRate        = 1 << 10
	DefaultDrain       = 30 * time.Second
)

// Limits bound what a connection may cost. The zero value of a field stands for
// its default.
type Limits struct {
	// Header is how long a request's header may take to arrive, and HeaderBytes how
	// large it may be.
	Header      time.Duration
	HeaderBytes int
	// Idle is how long a connection may wait for its next request.
	Idle time.Duration
	// Window and Rate: in each Window, a body that is being received or sent must
	// move on by Rate bytes a second on average.
	Window time.Duration
	Rate   int64
	// Drain is how long requests may go on after the server was asked to stop.
	Drain time.Duration
	// UnencryptedHTTP2 is whether a connection without TLS may speak HTTP/2, which its
	// client begins without asking. With TLS it may whenever that offers "h2".
	UnencryptedHTTP2 bool
}

// protocols are those that connections may speak.
func (l Limits) protocols() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(l.UnencryptedHTTP2)
	return &p
}

// maxStreams is how many requests may be under way on a connection of HTTP/2: as few as
// RFC 9113, section 5.1.2, recommends. Who opens streams only to reset them is cut off
// when four times as many wait for one of these to end.
const maxStreams = 100

// http2 bounds connections. Their streams have their own deadlines; but a connection
// whose client takes no byte of any would wait for that even to be closed.
func (l Limits) http2() *http.HTTP2Config {
	return &http.HTTP2Config{MaxConcurrentStreams: maxStreams, WriteByteTimeout: l.Window}
}

func (l Limits) withDefaults() Limits {
	l.Header = cmp.Or(l.Header, DefaultHeader)
	l.HeaderBytes = cmp.Or(l.HeaderBytes, DefaultHeaderBytes)
	l.Idle = cmp.Or(l.Idle, DefaultIdle)
	l.Window = cmp.Or(l.Window, DefaultWindow)
	l.Rate = cmp.Or(l.Rate, DefaultRate)
	l.Drain = cmp.Or(l.Drain, DefaultDrain)
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
		Protocols:         limits.protocols(),
		HTTP2:             limits.http2(),
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		// "OPTIONS *" is answered like everything else.
		DisableGeneralOptionsHandler: true,
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
