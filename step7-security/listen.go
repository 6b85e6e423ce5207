package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"path/filepath"

	"shibafu.dev/step7-security/tlsconf"
)

// scheme is what the URL of the registry begins with.
func scheme(o options) string {
	if o.secure {
		return "https"
	}
	return "http"
}

// listen listens, with TLS if that is wished.
func listen(o options, log *slog.Logger) (net.Listener, error) {
	ln, err := net.Listen("tcp", o.addr)
	if err != nil || !o.secure {
		return ln, err
	}
	host, _, _ := net.SplitHostPort(o.addr)
	certs, err := tlsconf.OpenSelfSigned(filepath.Join(own(o.root), "tls"), cmp.Or(host, "localhost"))
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	log.Info("clients have to trust an authority", "file", certs.CA())
	return tls.NewListener(ln, tlsconf.Server(certs, tlsconf.ClientNone, nil)), nil
}
