package wire

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Origin is who a server is to its clients. Origins are compared as values: a
// host under another port is somebody else.
//
// Source: RFC 6454, section 4.
type Origin struct{ Scheme, Host, Port string }

// OriginOf is the origin of a URL, which must be one of http or https, with a
// host, and without a user's name in it (ErrOrigin).
func OriginOf(u *url.URL) (Origin, error) {
	o := Origin{strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()}
	switch {
	case o.Scheme != "http" && o.Scheme != "https":
		return Origin{}, fmt.Errorf("%w: neither http nor https", ErrOrigin)
	case o.Host == "" || u.Opaque != "":
		return Origin{}, fmt.Errorf("%w: no host", ErrOrigin)
	case u.User != nil:
		return Origin{}, fmt.Errorf("%w: a user's name in a URL", ErrOrigin)
	}
	if o.Port == "" {
		o.Port = map[string]string{"http": "80", "https": "443"}[o.Scheme]
	}
	return o, nil
}

// String is the origin as the beginning of a URL.
func (o Origin) String() string { return o.Scheme + "://" + o.host() }

// host is the host, with the port where that is not the scheme's own.
func (o Origin) host() string {
	if o.Scheme == "http" && o.Port == "80" || o.Scheme == "https" && o.Port == "443" {
		if strings.Contains(o.Host, ":") {
			return "[" + o.Host + "]"
		}
		return o.Host
	}
	return o.address()
}

// address is "host:port", as it is dialed.
func (o Origin) address() string { return net.JoinHostPort(o.Host, o.Port) }

// dockerHub is where the images are whose references name no other host.
const dockerHub = "registry-1.docker.io"

// registryOrigin reads the host of a reference.
func registryOrigin(host, scheme string) (Origin, error) {
	if slices.Contains([]string{"docker.io", "index.docker.io"}, host) {
		host = dockerHub
	}
	if scheme == "" {
		scheme = "https"
		if isLocal(host) {
			scheme = "http"
		}
	}
	u, err := url.Parse(scheme + "://" + host)
	if err != nil || u.Host != host {
		return Origin{}, fmt.Errorf("%q is not the host of a registry", host)
	}
	return OriginOf(u)
}

// isLocal tells whether host, with a port or without, names this machine.
func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.Unmap().IsLoopback()
}
