package forwarded

import (
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// elements yields those of a header that is a list, from the right, without the space
// around them. It goes by quotes as seen from there: one that the client left open
// further left does not swallow what a proxy has added.
func elements(values []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, value := range slices.Backward(values) {
			end, quoted := len(value), false
			for i := len(value) - 1; i >= 0; i-- {
				switch {
				case value[i] == '"':
					quoted = !quoted
				case value[i] == ',' && !quoted:
					if !yield(strings.Trim(value[i+1:end], " \t")) {
						return
					}
					end = i
				}
			}
			if !yield(strings.Trim(value[:end], " \t")) {
				return
			}
		}
	}
}

// element is one of a Forwarded header.
type element struct{ node, proto, host string }

// parseElement reads "for=…;proto=…;host=…", each once, in any order, in any case; by
// and extensions are passed over.
func parseElement(s string) (e element, ok bool) {
	seen := map[string]bool{}
	for s != "" {
		name, rest, ok := strings.Cut(s, "=")
		name = strings.ToLower(name)
		if !ok || !isToken(name) || seen[name] {
			return element{}, false
		}
		seen[name] = true
		value, rest, ok := parseValue(rest)
		if !ok {
			return element{}, false
		}
		switch name {
		case "for":
			e.node = value
		case "proto":
			e.proto = value
		case "host":
			e.host = value
		}
		if s = rest; s != "" {
			if s[0] != ';' || s == ";" {
				return element{}, false
			}
			s = s[1:]
		}
	}
	return e, len(seen) > 0
}

// parseValue reads a token or a quoted string, and returns what follows it.
func parseValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s, ';')
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], isToken(s[:end])
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], true
		case c == '\\' || c < ' ' || c >= 0x7f: // no node, scheme or host needs them
			return "", "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r < 0x7f && strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}

// parseNode reads an address: IPv4, IPv6 with or without brackets, and a port behind
// them. "unknown" and the made-up names of RFC 7239 are none.
func parseNode(s string) (netip.Addr, bool) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		text, port, ok := strings.Cut(inner, "]")
		addr, err := netip.ParseAddr(text)
		if !ok || err != nil || !addr.Is6() || port != "" && !isPort(strings.TrimPrefix(port, ":")) || port != "" && port[0] != ':' {
			return netip.Addr{}, false
		}
		return addr.Unmap(), addr.Zone() == ""
	}
	if text, port, ok := strings.Cut(s, ":"); ok && isPort(port) {
		if addr, err := netip.ParseAddr(text); err == nil {
			return addr, addr.Is4()
		}
	}
	addr, err := netip.ParseAddr(s)
	return addr.Unmap(), err == nil && addr.Zone() == ""
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && s[0] != '+'
}

// IsHost tells whether s is a host as it stands in a URL: a name of letters, digits,
// dots, dashes and underscores, or an address, IPv6 in brackets; and perhaps a port.
func IsHost(s string) bool {
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return false
		}
		addr, err := netip.ParseAddr(s[1:end])
		port := s[end+1:]
		return err == nil && addr.Is6() && addr.Zone() == "" && (port == "" || port[0] == ':' && isPort(port[1:]))
	}
	name, port, hasPort := strings.Cut(s, ":")
	if hasPort && !isPort(port) || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.ContainsFunc(label, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
		}) {
			return false
		}
	}
	return true
}
