package authhttp

import (
	"net/http"
	"net/url"
	"strings"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step7-security/auth"
)

// challenge says where to get a token and for what. It is the only one that is sent: of
// two, docker tries both and fails on the second.
//
// Source: RFC 6750, section 3; CNCF distribution, "Token Authentication Specification".
func (g *Guard) challenge(r *http.Request, needs []auth.Scope, problem string) (string, error) {
	realm, err := g.realm(r)
	if err != nil {
		return "", err
	}
	text := `Bearer realm="` + realm + `",service="` + g.gate.Tokens.Service() + `"`
	if len(needs) > 0 {
		words := make([]string, len(needs))
		for i, s := range needs {
			words[i] = s.String()
		}
		text += `,scope="` + strings.Join(words, " ") + `"`
	}
	if problem != "" {
		text += `,error="` + problem + `"`
	}
	return text, nil
}

// realm is the URL of the token endpoint.
func (g *Guard) realm(r *http.Request) (string, error) {
	if g.opts.PublicURL != "" {
		return g.opts.PublicURL + TokenPath, nil
	}
	scheme, host := g.opts.Origin(r)
	if !validHost(host) {
		return "", ocierr.Unsupported.WithStatus(http.StatusBadRequest, "the Host header names no host")
	}
	return scheme + "://" + host + TokenPath, nil
}

// validHost tells whether host is a name or an address, and perhaps a port: clients send
// their passwords there.
func validHost(host string) bool {
	strange := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune(".-_:[]", c))
	}
	if len(host) > 261 || strings.ContainsFunc(host, strange) {
		return false
	}
	u, err := url.Parse("http://" + host)
	return err == nil && u.Host == host && u.Hostname() != "" && !strings.HasSuffix(host, ":")
}

// needs are the scopes that a request to an endpoint needs. A mount needs to pull from
// where the blob is; without that it goes on as an upload.
func needs(r *http.Request, e *endpoint.Endpoint, name ref.Name) []auth.Scope {
	own := auth.ScopeOf(name, e.Action)
	if own.Type == "" {
		return nil
	}
	if e != endpoint.StartUpload {
		return []auth.Scope{own}
	}
	query := r.URL.Query()
	from, err := ref.ParseName(query.Get("from"))
	if err != nil || !query.Has("mount") || from == name {
		return []auth.Scope{own}
	}
	return []auth.Scope{own, auth.ScopeOf(from, endpoint.Pull)}
}
