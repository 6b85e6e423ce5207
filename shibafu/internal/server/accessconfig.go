package server

import (
	"errors"
	"strings"
	"time"

	"shibafu.dev/step7-security/audit"
	"shibafu.dev/step7-security/forwarded"
	"shibafu.dev/step7-security/ratelimit"
	"shibafu.dev/step7-security/tlsconf"
)

// AuthConfig names the files that say who may do what, beside those in the root.
type AuthConfig struct {
	Htpasswd, Issuers, Policy string
	// TokenLifetime is that of access tokens.
	TokenLifetime time.Duration
}

// TLSConfig says how connections are encrypted, if they are.
type TLSConfig struct {
	Cert, Key  string
	SelfSigned bool
	// ClientCA signs the certificates of clients, of whom ClientAuth says whether they
	// must have one.
	ClientCA, ClientAuth string
}

// used tells whether connections are encrypted.
func (c *TLSConfig) used() bool { return c.Cert != "" || c.SelfSigned }

// clientMode is what is asked of clients.
func (c *TLSConfig) clientMode() tlsconf.ClientMode {
	if c.ClientCA == "" {
		return tlsconf.ClientNone
	}
	mode, _ := tlsconf.ParseClientMode(c.ClientAuth) // it is one of the words
	return mode
}

// ProxiesConfig says which proxies are believed.
type ProxiesConfig struct {
	// Trusted are addresses and prefixes, parted by commas.
	Trusted, Style string
}

// trust is what it says, once it was checked.
func (c *ProxiesConfig) trust() (forwarded.Trust, error) {
	var texts []string
	for text := range strings.SplitSeq(c.Trusted, ",") {
		if text = strings.TrimSpace(text); text != "" {
			texts = append(texts, text)
		}
	}
	proxies, err := forwarded.ParseProxies(texts...)
	return forwarded.Trust{Proxies: proxies, Style: forwarded.Style(c.Style)}, err
}

// LogsConfig says where the logs of requests go.
type LogsConfig struct {
	// Access is a file, "-" for standard error, or "off".
	Access string
	// Every is how many reads that went well share a line.
	Every int
	// Audit is the file for changes and refusals, "off", or "" for the one in the root.
	Audit string
	// AuditSize is how large that may become, in bytes, and AuditKeep how many old ones
	// stay.
	AuditSize int64
	AuditKeep int
}

func (c *LogsConfig) define(d definer) {
	d.text(&c.Access, "log-access", "log.access", "off", "`file` for a line of JSON about each request; - is standard error, off nowhere", func() error {
		if c.Access == "" {
			return errors.New("want a file, - or off")
		}
		return nil
	})
	d.count(&c.Every, "log-access-every", "log.accessEvery", 1, "`number` of successful reads that share one line there")
	d.text(&c.Audit, "log-audit", "log.audit", "", "`file` for a line of JSON about each change and each refusal; shibafu/audit.log in the root unless told, off nowhere", nil)
	d.bytes(&c.AuditSize, "log-audit-size", "log.auditSize", audit.DefaultSize, 4096, "size at which that file is put aside for a new one, in `bytes`")
	d.count(&c.AuditKeep, "log-audit-keep", "log.auditKeep", audit.DefaultKeep, "`number` of files that are put aside and stay")
}

// defineAccess defines what says who is let in, and how.
func (c *Config) defineAccess(d definer) {
	d.flag(&c.AllowAnonymousAll, "allow-anonymous-all", "allowAnonymousAll", false, "let everybody do everything, from anywhere, as long as there are no users")
	d.text(&c.Auth.Policy, "auth-policy", "auth.policy", "", "`file` of rules; shibafu/policy.json in the root unless told", nil)
	d.text(&c.Auth.Htpasswd, "auth-htpasswd", "auth.htpasswd", "", "`file` of users as Apache has them, beside those of the root", nil)
	d.text(&c.Auth.Issuers, "auth-issuers", "auth.issuers", "", "`file` of others whose tokens are believed", nil)
	d.duration(&c.Auth.TokenLifetime, "auth-token-lifetime", "auth.tokenLifetime", 5*time.Minute, "how long a token is good for")
	d.c.settings[len(d.c.settings)-1].valid = func() error {
		if c.Auth.TokenLifetime < time.Minute {
			return errors.New("want a minute or more, as clients keep tokens for that long")
		}
		return nil
	}
	d.text(&c.TLS.Cert, "tls-cert", "tls.cert", "", "`file` with the certificates of this server, PEM", c.validTLS)
	d.text(&c.TLS.Key, "tls-key", "tls.key", "", "`file` with their key, PEM", nil)
	d.flag(&c.TLS.SelfSigned, "tls-self-signed", "tls.selfSigned", false, "encrypt with certificates of an authority that is made for it, for trying out")
	d.text(&c.TLS.ClientCA, "tls-client-ca", "tls.clientCA", "", "`file` with the authorities that sign certificates of clients, PEM", nil)
	d.word(&c.TLS.ClientAuth, "tls-client-auth", "tls.clientAuth", "whether clients need such a certificate: `optional` or required", string(tlsconf.ClientOptional), string(tlsconf.ClientRequired))
	d.flag(&c.HTTP.UnencryptedHTTP2, "tls-h2c", "tls.h2c", false, "speak HTTP/2 without TLS too, to those who begin with it")
	d.text(&c.Proxies.Trusted, "proxies", "proxies.trusted", "", "`addresses` of proxies whose headers say who the client is, with commas between: 10.0.0.0/8,127.0.0.1", func() error {
		_, err := c.Proxies.trust()
		return err
	})
	d.word(&c.Proxies.Style, "proxies-style", "proxies.style", "`headers` that they write: x-forwarded or forwarded", string(forwarded.XForwarded), string(forwarded.RFC7239))
	d.text(&c.Admin, "admin-addr", "admin.addr", "", "`host:port` to serve metrics, health and profiles at, to whoever reaches it", func() error {
		if c.Admin == "" {
			return nil
		}
		return validAddr(c.Admin)
	})
}

// defineSource defines the limits of each source.
func (c *Config) defineSource(d definer) {
	l := &c.Source
	*l = ratelimit.Limits{Queue: 200, Wait: 5 * time.Second}
	d.perSecond(&l.Requests, "limits-source-requests", "limits.sourceRequests", 2000, "`number` of requests a second from one user or address; 0 for no limit")
	d.perSecond(&l.Bytes, "limits-source-bytes", "limits.sourceBytes", 0, "`bytes` a second to and from one; 0 for no limit (default 0)")
	d.optional(&l.AtOnce, "limits-source-at-once", "limits.sourceAtOnce", 1000, "`number` of requests of one that run at once; 0 for no limit")
	d.optional(&c.Uploads.PerOwner, "limits-source-sessions", "limits.sourceSessions", 1000, "`number` of open uploads of one user; 0 for no limit")
}

// validTLS says whether the settings of TLS go together.
func (c *Config) validTLS() error {
	t := &c.TLS
	switch {
	case (t.Cert == "") != (t.Key == ""):
		return errors.New("want --tls-cert and --tls-key together")
	case t.Cert != "" && t.SelfSigned:
		return errors.New("want either --tls-cert or --tls-self-signed")
	case t.ClientCA != "" && !t.used():
		return errors.New("want --tls-cert or --tls-self-signed with --tls-client-ca")
	}
	return nil
}
