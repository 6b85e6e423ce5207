package tlsconf

import (
	"crypto/tls"
	"strings"
	"unicode"
)

// maxClientName is more than any name needs, in bytes.
const maxClientName = 255

// ClientName is the name of the client that a connection's verified certificate is
// for: the subject's common name; else the one DNS name or mail address that it has.
// ok is false for a client without such a certificate, and for a certificate that
// names nobody, or more than one, or in characters that do not print.
func ClientName(state *tls.ConnectionState) (name string, ok bool) {
	if state == nil || len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return "", false
	}
	leaf := state.PeerCertificates[0]
	if name = leaf.Subject.CommonName; name == "" {
		others := append(append([]string{}, leaf.DNSNames...), leaf.EmailAddresses...)
		if len(others) != 1 {
			return "", false
		}
		name = others[0]
	}
	ok = name != "" && len(name) <= maxClientName && strings.TrimSpace(name) == name &&
		!strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
	if !ok {
		return "", false
	}
	return name, true
}
