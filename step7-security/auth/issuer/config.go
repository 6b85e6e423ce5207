package issuer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/internal/strictjson"
)

// ErrConfig is a file of issuers that cannot be used.
var ErrConfig = errors.New("bad file of issuers")

// config is the file of issuers:
//
//	{"issuers": [{
//	  "id": "github",
//	  "issuer": "https://token.actions.githubusercontent.com",
//	  "audience": "https://registry.example.com",
//	  "keys_url": "https://token.actions.githubusercontent.com/.well-known/jwks",
//	  "rules": [{"when": {"repository_owner": ["acme"], "ref": ["refs/heads/main", "refs/tags/*"]},
//	             "name": "{repository}", "groups": ["ci"]}],
//	  "keep": ["repository", "ref"]
//	}]}
type config struct {
	Issuers []Issuer `json:"issuers"`
}

// Issuer is one whose tokens are believed.
type Issuer struct {
	// ID is what it is called here; names of its identities begin with it: "oidc$ID:…".
	ID string `json:"id"`
	// Issuer and Audience are the iss and aud that tokens must have.
	Issuer   string `json:"issuer"`
	Audience string `json:"audience"`
	// KeysURL and KeysFile are where its keys are, one of them: a JWK set, or certificates
	// or public keys as PEM.
	KeysURL  string `json:"keys_url,omitempty"`
	KeysFile string `json:"keys_file,omitempty"`
	// KeysAllow are the networks inside in which KeysURL may lie: "10.0.0.0/8". What is on
	// the internet, or is said to be this machine, needs none.
	KeysAllow []netip.Prefix `json:"keys_allow,omitempty"`
	// Grants is set where the issuer decides who may do what, by the access claim of its
	// tokens, as the token servers of GitLab and Harbor do. Then there may be no rules.
	Grants bool `json:"grants,omitempty"`
	// Rules make names and groups of claims. A token that fits none lets nobody in.
	Rules []Rule `json:"rules,omitempty"`
	// Keep are the claims that rights can be given by.
	Keep []string `json:"keep,omitempty"`
}

// Rule is who tokens with certain claims are for.
type Rule struct {
	// When is what must hold: each claim (with dots where it lies deeper) is one of the
	// texts, in which "*" stands for any letters. A claim that is a list fits if one of its
	// elements does.
	When map[string][]string `json:"when"`
	// Name is what the identity is called, with claims in braces; "" stands for "{sub}".
	// That of the first rule that fits counts.
	Name string `json:"name,omitempty"`
	// Groups are those of all rules that fit.
	Groups []string `json:"groups,omitempty"`
}

const (
	// maxConfig bounds the file, in bytes, and maxKeep the claims that go into tokens.
	maxConfig = 1 << 20
	maxKeep   = 16
)

// Parse reads a file of issuers. Its errors are ErrConfig, with the line where JSON is
// wrong, and the ID of the issuer where that is.
func Parse(raw []byte) ([]Issuer, error) {
	if len(raw) > maxConfig {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrConfig, maxConfig)
	}
	var c config
	if err := strictjson.Decode(raw, &c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	ids, names := map[string]bool{}, map[string]bool{}
	for n, i := range c.Issuers {
		reason := i.fault()
		if reason == "" && (ids[i.ID] || names[i.Issuer]) {
			reason = "its id or its issuer is that of another"
		}
		if reason != "" {
			return nil, fmt.Errorf("%w: issuer %d (%q): %s", ErrConfig, n+1, i.ID, reason)
		}
		ids[i.ID], names[i.Issuer] = true, true
	}
	return c.Issuers, nil
}

// version names the entry as it is.
func (i Issuer) version() string {
	raw, err := json.Marshal(i) // nothing in it can fail
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}

// fault says what is wrong, "" if nothing is.
func (i Issuer) fault() string {
	switch {
	case auth.CheckName(i.ID) != nil:
		return "the id is not a possible name"
	case i.Issuer == "" || i.Audience == "":
		return "issuer and audience are needed"
	case (i.KeysURL == "") == (i.KeysFile == ""):
		return "one of keys_url and keys_file is needed"
	case i.KeysURL != "" && !isSafe(i.KeysURL):
		return "keys_url must be https, or http to this machine"
	case len(i.KeysAllow) > 0 && i.KeysURL == "":
		return "keys_allow is for a keys_url"
	case slices.ContainsFunc(i.KeysAllow, func(p netip.Prefix) bool { return p != p.Masked() || p.Addr().Is4In6() }):
		return "keys_allow has a prefix with bits behind its end, or IPv4 written as IPv6"
	case len(i.Rules) == 0 && !i.Grants:
		return "without a rule it lets nobody in"
	case len(i.Keep) > maxKeep:
		return fmt.Sprintf("more than %d claims to keep", maxKeep)
	}
	for n, r := range i.Rules {
		if reason := r.fault(); reason != "" {
			return fmt.Sprintf("rule %d: %s", n+1, reason)
		}
	}
	return ""
}

func (r Rule) fault() string {
	if len(r.When) == 0 {
		return `"when" is empty: it would let everybody in whom the issuer knows`
	}
	for claim, texts := range r.When {
		if claim == "" || len(texts) == 0 {
			return "a claim without texts never fits"
		}
	}
	for _, g := range r.Groups {
		if auth.CheckName(g) != nil {
			return "a group's name is none"
		}
	}
	if _, ok := expand(r.Name, nil, true); !ok {
		return "the name has braces that do not match"
	}
	return ""
}

// isSafe tells whether nobody on the way can change what comes from a URL.
func isSafe(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && isLocal(u)
}

// isLocal tells whether a URL says that it leads to this machine.
func isLocal(u *url.URL) bool {
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
}

// allow are the networks inside that are reached for the issuer's keys.
func (i Issuer) allow() []netip.Prefix {
	if u, err := url.Parse(i.KeysURL); err == nil && isLocal(u) {
		return append([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, i.KeysAllow...)
	}
	return i.KeysAllow
}

// expand puts claims into the braces of a name. ok is false if one is not there, or is a
// list; where dry is set, only the form is looked at.
func expand(name string, claims map[string][]string, dry bool) (text string, ok bool) {
	if name == "" {
		name = "{sub}"
	}
	var b strings.Builder
	for {
		before, rest, open := strings.Cut(name, "{")
		b.WriteString(before)
		if strings.Contains(before, "}") {
			return "", false
		}
		if !open {
			return b.String(), true
		}
		claim, after, closed := strings.Cut(rest, "}")
		if !closed || claim == "" {
			return "", false
		}
		values := claims[claim]
		if !dry && len(values) != 1 {
			return "", false
		}
		if !dry {
			b.WriteString(values[0])
		}
		name = after
		if name == "" {
			return b.String(), true
		}
	}
}
