package authhttp

import (
	"encoding/base64"
	"net/http"
	"strings"

	"shibafu.dev/step7-security/auth"
)

// Caller tells who makes a request: by a header for Basic or Bearer, else by a client
// certificate, else nobody. Its errors are those of auth.Gate; a header that cannot be
// read is auth.ErrCredentials.
func (g *Guard) Caller(r *http.Request) (auth.Caller, error) {
	scheme, value, err := authorization(r)
	if err != nil {
		return auth.Caller{}, err
	}
	switch scheme {
	case "basic":
		name, secret, err := basic(value)
		if err != nil {
			return auth.Caller{}, err
		}
		return g.gate.Basic(r.Context(), name, secret)
	case "bearer":
		return g.gate.Bearer(r.Context(), value)
	}
	if id, ok := g.certificate(r.TLS); ok {
		return auth.Caller{Identity: id}, nil
	}
	return auth.Caller{Identity: auth.Nobody()}, nil
}

// authorization reads the header: scheme is "basic", "bearer", or "" where there is none.
//
// Source: RFC 9110, section 11.6.2.
func authorization(r *http.Request) (scheme, value string, err error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", "", nil
	}
	scheme, value, _ = strings.Cut(values[0], " ")
	scheme, value = strings.ToLower(scheme), strings.Trim(value, " ")
	if len(values) > 1 || value == "" || scheme != "basic" && scheme != "bearer" {
		return "", "", auth.ErrCredentials
	}
	return scheme, value, nil
}

func isBearer(r *http.Request) bool {
	value := r.Header.Get("Authorization")
	return len(value) >= 6 && strings.EqualFold(value[:6], "bearer")
}

// basic takes a name and a password apart.
//
// Source: RFC 7617.
func basic(value string) (name, secret string, err error) {
	raw, err := base64.StdEncoding.DecodeString(value)
	if err != nil || strings.ContainsAny(value, "\r\n") {
		return "", "", auth.ErrCredentials
	}
	name, secret, found := strings.Cut(string(raw), ":")
	if !found || strings.ContainsFunc(string(raw), func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", "", auth.ErrCredentials
	}
	return name, secret, nil
}
