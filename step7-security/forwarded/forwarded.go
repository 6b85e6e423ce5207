// Package forwarded finds out where a request comes from, and what its client thinks
// that it talks to, where proxies stand in between.
//
// Anybody can write a header. So what a proxy adds is believed only if the connection
// comes from one that is trusted, and lists are read from their right end, where the
// proxy nearest to here has written, for as long as what they name is trusted in
// turn. What lies further left is the client's own invention.
//
// Source: RFC 7239.
package forwarded

import (
	"fmt"
	"net/netip"
	"strings"
)

// Style says which headers the proxies write. There is one, since a proxy passes on
// what it does not know: were both believed, a client could write the other one.
type Style string

const (
	// XForwarded stands for X-Forwarded-For, -Proto and -Host. Proxies must set all
	// three, or take away what they do not set.
	XForwarded Style = "x-forwarded"
	// RFC7239 stands for Forwarded.
	RFC7239 Style = "forwarded"
)

// ParseStyle reads one of the styles.
func ParseStyle(s string) (Style, error) {
	if style := Style(s); style == XForwarded || style == RFC7239 {
		return style, nil
	}
	return "", fmt.Errorf("%q: want %s or %s", s, XForwarded, RFC7239)
}

// Trust says which proxies are believed. Its zero value believes nobody.
type Trust struct {
	Proxies []netip.Prefix
	Style   Style // XForwarded if empty
}

// ParseProxies reads addresses and CIDR prefixes.
func ParseProxies(texts ...string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if a, addrErr := netip.ParseAddr(text); addrErr == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q: want an address, or a prefix such as 10.0.0.0/8", text)
		}
		if p != p.Masked() {
			return nil, fmt.Errorf("%q: the prefix is %s", text, p.Masked())
		}
		if p.Addr().Is4In6() {
			return nil, fmt.Errorf("%q: write it as IPv4", text)
		}
		all = append(all, p)
	}
	return all, nil
}

func (t Trust) trusts(a netip.Addr) bool {
	for _, p := range t.Proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Origin is where a request comes from.
type Origin struct {
	// Addr is the client's, without a zone, IPv4 as such. It is invalid where the
	// connection has no address, such as that of a unix socket.
	Addr netip.Addr
	// Scheme is "http" or "https", and Host what the client asked for: host[:port]. Host
	// is "" if what it sent is no host.
	Scheme, Host string
}

// Request is what there is to go by.
type Request struct {
	Remote netip.Addr
	TLS    bool
	Host   string
	Header map[string][]string // in canonical form, as of net/http
}

// Origin returns where r comes from. What is malformed ends the search: what was found
// before it holds.
func (t Trust) Origin(r Request) Origin {
	o := Origin{Addr: r.Remote.Unmap().WithZone(""), Scheme: "http"}
	if r.TLS {
		o.Scheme = "https"
	}
	if IsHost(r.Host) {
		o.Host = r.Host
	}
	if !t.trusts(o.Addr) {
		return o
	}
	if t.Style == RFC7239 {
		return t.fromForwarded(o, r.Header["Forwarded"])
	}
	return t.fromX(o, r.Header)
}

// fromX reads the X- headers. Of the scheme and the host the last value counts, as
// proxies rather replace these than add to them.
func (t Trust) fromX(o Origin, header map[string][]string) Origin {
	for text := range elements(header["X-Forwarded-For"]) {
		addr, ok := parseNode(text)
		if !ok {
			break
		}
		if o.Addr = addr; !t.trusts(addr) {
			break
		}
	}
	for text := range elements(header["X-Forwarded-Proto"]) {
		o.setScheme(text)
		break
	}
	for text := range elements(header["X-Forwarded-Host"]) {
		o.setHost(text)
		break
	}
	return o
}

func (t Trust) fromForwarded(o Origin, values []string) Origin {
	for text := range elements(values) {
		e, ok := parseElement(text)
		if !ok {
			break
		}
		o.setScheme(e.proto)
		o.setHost(e.host)
		addr, ok := parseNode(e.node)
		if !ok {
			break
		}
		if o.Addr = addr; !t.trusts(addr) {
			break
		}
	}
	return o
}

func (o *Origin) setScheme(s string) {
	if s = strings.ToLower(s); s == "http" || s == "https" {
		o.Scheme = s
	}
}

func (o *Origin) setHost(s string) {
	if IsHost(s) {
		o.Host = s
	}
}
