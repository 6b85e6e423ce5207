package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/authhttp"
	"shibafu.dev/step7-security/guards"
	"shibafu.dev/step7-security/tlsconf"
	"shibafu.dev/step7-security/watch"
)

// openGuards opens what stands between clients and the registry.
func (s *Server) openGuards() error {
	c := s.config
	var err error
	if s.tls, err = openTransport(c, s.root, s.log); err != nil {
		return err
	}
	access, err := s.openAccessLog()
	if err != nil {
		return err
	}
	trust, err := c.Proxies.trust()
	if err != nil {
		return err
	}
	options := guards.Options{
		Folder: own(s.root),
		Policy: c.Auth.Policy, Htpasswd: c.Auth.Htpasswd, Issuers: c.Auth.Issuers,
		Ask:           c.TLS.ClientCA != "",
		PublicURL:     c.PublicURL,
		TokenLifetime: c.Auth.TokenLifetime,
		Trust:         trust,
		Limits:        c.Source,
		Fetch:         authhttp.NewFetcher(nil),
		Access:        access,
		Every:         uint64(c.Logs.Every),
		Metrics:       s.metrics,
		Log:           s.log,
	}
	s.tellGuards(&options)
	s.guards, err = guards.New(options)
	return err
}

// openAccessLog opens the log of requests; nil if there is none.
func (s *Server) openAccessLog() (*slog.Logger, error) {
	var w io.Writer
	switch name := s.config.Logs.Access; name {
	case "off":
		return nil, nil
	case "-":
		w = os.Stderr
	default:
		f, err := openLogFile(name)
		if err != nil {
			return nil, err
		}
		s.closers = append(s.closers, f.Close)
		s.logs = append(s.logs, f)
		w = f
	}
	return slog.New(slog.NewJSONHandler(w, nil)), nil
}

// transport is how connections are encrypted. Its zero value is: not at all.
type transport struct {
	config *tls.Config
	ca     string // for clients to trust
	files  *tlsconf.Files
	pool   *watch.Files[*x509.CertPool]
	log    *slog.Logger
}

// openTransport opens the certificates.
func openTransport(c *Config, root string, log *slog.Logger) (t transport, err error) {
	t.log = log
	var certs tlsconf.Certificates
	switch {
	case c.TLS.Cert != "":
		if t.files, err = tlsconf.OpenFiles(tlsconf.Pair{Cert: c.TLS.Cert, Key: c.TLS.Key}); err != nil {
			return t, err
		}
		certs = t.files
	case c.TLS.SelfSigned:
		made, err := tlsconf.OpenSelfSigned(filepath.Join(own(root), "tls"), selfSignedHosts(c)...)
		if err != nil {
			return t, err
		}
		t.ca, certs = made.CA(), made
	default:
		return t, nil
	}
	if c.TLS.ClientCA != "" {
		if t.pool, err = tlsconf.OpenPool(c.TLS.ClientCA); err != nil {
			return t, err
		}
	}
	t.config = tlsconf.Server(certs, c.TLS.clientMode(), func() *x509.CertPool { return t.pool.Current() })
	return t, nil
}

// selfSignedHosts are what clients may call this server.
func selfSignedHosts(c *Config) []string {
	var hosts []string
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	if host, _, err := net.SplitHostPort(c.Addr); err == nil && host != "" {
		hosts = append(hosts, host)
	}
	if u, err := url.Parse(c.PublicURL); err == nil && u.Hostname() != "" {
		hosts = append(hosts, u.Hostname())
	}
	return hosts
}

func (t transport) scheme() string {
	if t.config != nil {
		return "https"
	}
	return "http"
}

func (t transport) wrap(ln net.Listener) net.Listener {
	if t.config == nil {
		return ln
	}
	return tls.NewListener(ln, t.config)
}

// reload reads the files again.
func (t transport) reload() error {
	var errs []error
	if t.files != nil {
		_, err := t.files.Reload()
		errs = append(errs, err)
	}
	if t.pool != nil {
		_, err := t.pool.Reload()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// run looks at the files until ctx ends.
func (t transport) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	if t.files != nil {
		all.Go(func() { t.files.Run(ctx, auth.DefaultInterval, t.log, nil) })
	}
	if t.pool != nil {
		all.Go(func() { t.pool.Run(ctx, auth.DefaultInterval, t.log, nil) })
	}
}
