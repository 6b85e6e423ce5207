package notify

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step7-security/internal/strictjson"
	"shibafu.dev/step7-security/policy"
)

// ErrConfig is a file of targets that cannot be used.
var ErrConfig = errors.New("bad file of webhooks")

// config is the file of targets:
//
//	{"targets": [{
//	  "name": "ci",
//	  "url": "https://ci.example.com/hooks/registry",
//	  "secret_file": "/etc/shibafu/ci.secret",
//	  "events": ["push", "delete"],
//	  "repositories": ["team/**"],
//	  "ignore_media_types": ["application/octet-stream"]
//	}]}
type config struct {
	Targets []targetConfig `json:"targets"`
}

type targetConfig struct {
	Name       string            `json:"name"`
	URL        string            `json:"url"`
	Secret     string            `json:"secret"`
	SecretFile string            `json:"secret_file"`
	Events     []Action          `json:"events"`
	Names      []string          `json:"repositories"`
	Ignore     []string          `json:"ignore_media_types"`
	References bool              `json:"references"`
	Timeout    string            `json:"timeout"`
	Allow      []netip.Prefix    `json:"allow"`
	CAFile     string            `json:"ca_file"`
	Headers    map[string]string `json:"headers"`
	Type       string            `json:"content_type"`
}

// Target is somebody who is told of events.
type Target struct {
	// Name is what it is called in logs and figures, and its queue's folder.
	Name string
	// URL is where events are posted to. It may hold a secret, as those of some services do.
	URL Hidden
	// Headers are sent along.
	Headers map[string]Hidden
	// ContentType is that of the body: EventsType unless another is wished.
	ContentType string
	// Timeout is how long a delivery may take.
	Timeout time.Duration
	// Allow are networks inside that URL may lead to, and the only ones where it may be
	// http. CAs are certificates as PEM, of authorities that are believed besides.
	Allow []netip.Prefix
	CAs   []byte

	host       string // for people
	secret     Hidden
	secretFile string
	actions    map[Action]bool
	names      policy.Names
	ignore     []string
	references bool
}

// Format implements fmt.Formatter: a target prints as its name, as the rest of it has secrets.
func (t Target) Format(s fmt.State, _ rune) { io.WriteString(s, t.Name) }

// The media types of a delivery. The bodies are the same: version 1 is what GitLab, among
// others, insists on, and 2 what version 3 of distribution says since it can tell of no
// manifests of schema 1.
const (
	EventsType  = "application/vnd.docker.distribution.events.v1+json"
	EventsType2 = "application/vnd.docker.distribution.events.v2+json"
)

// Hidden is text that nobody is shown: it prints, and encodes, as "hidden".
type Hidden string

// Format implements fmt.Formatter.
func (Hidden) Format(s fmt.State, _ rune) { io.WriteString(s, "hidden") }

// MarshalText implements encoding.TextMarshaler.
func (Hidden) MarshalText() ([]byte, error) { return []byte("hidden"), nil }

const (
	maxConfig      = 1 << 20
	maxTargets     = 32
	maxSecrets     = 4
	minSecret      = 16 // bytes
	maxSecretFile  = 4 << 10
	maxName        = 64
	defaultTimeout = 10 * time.Second
	maxTimeout     = time.Minute
)

// Parse reads a file of targets, and the files that it names. Its errors are ErrConfig,
// with the line where JSON is wrong, and the name of the target where that is; they hold no
// secret.
func Parse(raw []byte) ([]*Target, error) {
	if len(raw) > maxConfig {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrConfig, maxConfig)
	}
	var c config
	if err := strictjson.Decode(raw, &c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if len(c.Targets) > maxTargets {
		return nil, fmt.Errorf("%w: more than %d targets", ErrConfig, maxTargets)
	}
	var all []*Target
	for i, tc := range c.Targets {
		t, err := tc.target()
		if err == nil && slices.ContainsFunc(all, func(other *Target) bool { return other.Name == t.Name }) {
			err = errors.New("there is another of this name")
		}
		if err != nil {
			return nil, fmt.Errorf("%w: target %d (%q): %w", ErrConfig, i+1, tc.Name, err)
		}
		all = append(all, t)
	}
	return all, nil
}

func (c *targetConfig) target() (*Target, error) {
	t := &Target{
		Name: c.Name, URL: Hidden(c.URL), Allow: c.Allow, secret: Hidden(c.Secret), secretFile: c.SecretFile,
		ignore: c.Ignore, references: c.References, Headers: map[string]Hidden{}, actions: map[Action]bool{},
	}
	for _, check := range []func(*Target) error{c.checkURL, c.checkEvents, c.checkTimeout, c.checkHeaders, c.readFiles} {
		if err := check(t); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (c *targetConfig) checkURL(t *Target) error {
	if !isName(c.Name) {
		return fmt.Errorf("a name is of lower case letters, digits, . _ and -, begins with one of the first two, and has at most %d", maxName)
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("the url is not one of https") // and not shown
	}
	switch {
	case u.User != nil:
		return errors.New("credentials belong into headers, not into the url")
	case u.Scheme == "http" && len(c.Allow) == 0:
		return errors.New("http is for networks that \"allow\" names")
	}
	for _, p := range c.Allow {
		if p != p.Masked() || p.Addr().Is4In6() {
			return fmt.Errorf("allow: %s has bits behind its end, or is IPv4 written as IPv6", p)
		}
	}
	t.host = u.Host
	return nil
}

func isName(s string) bool {
	return s != "" && len(s) <= maxName && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == "" && strings.IndexByte("._-", s[0]) < 0
}

func (c *targetConfig) checkEvents(t *Target) (err error) {
	if c.Events == nil {
		c.Events = []Action{Push, Mount, Delete}
	}
	if len(c.Events) == 0 {
		return errors.New("without events there is nothing to tell")
	}
	for _, a := range c.Events {
		if !slices.Contains([]Action{Push, Pull, Mount, Delete}, a) {
			return fmt.Errorf("%q is no event: want push, pull, mount or delete", string(a))
		}
		t.actions[a] = true
	}
	if c.Names == nil {
		c.Names = []string{"*"}
	}
	if t.names, err = policy.ParseNames(c.Names...); err != nil {
		return fmt.Errorf("repositories: %w", err)
	}
	if t.ContentType = c.Type; c.Type == "" {
		t.ContentType = EventsType
	}
	if !slices.Contains([]string{EventsType, EventsType2, "application/json"}, t.ContentType) {
		return fmt.Errorf("content_type is none of %s, %s and application/json", EventsType, EventsType2)
	}
	return nil
}

func (c *targetConfig) checkTimeout(t *Target) (err error) {
	if t.Timeout = defaultTimeout; c.Timeout != "" {
		t.Timeout, err = time.ParseDuration(c.Timeout)
	}
	if err != nil || t.Timeout <= 0 || t.Timeout > maxTimeout {
		return fmt.Errorf("timeout is a time like \"10s\", and at most %v", maxTimeout)
	}
	return nil
}

// ours are the headers that a delivery has by itself.
var ours = []string{"connection", "content-length", "content-type", "host", "shibafu-signature", "te", "trailer", "transfer-encoding", "upgrade", "user-agent"}

func (c *targetConfig) checkHeaders(t *Target) error {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	for name, value := range c.Headers {
		switch {
		case name == "" || strings.Trim(name, letters+"-_") != "":
			return fmt.Errorf("headers: %q is no name of one", name)
		case slices.Contains(ours, strings.ToLower(name)):
			return fmt.Errorf("headers: %s is not yours to set", name)
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return fmt.Errorf("headers: the value of %s has control characters", name)
		}
		t.Headers[name] = Hidden(value)
	}
	return nil
}

func (c *targetConfig) readFiles(t *Target) (err error) {
	if c.Secret != "" && c.SecretFile != "" {
		return errors.New("one of secret and secret_file, not both")
	}
	if _, err := t.secrets(); err != nil {
		return err
	}
	if c.CAFile == "" {
		return nil
	}
	if t.CAs, err = os.ReadFile(c.CAFile); err != nil {
		return err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(t.CAs) {
		return errors.New("ca_file has no certificates")
	}
	return nil
}

// secrets are what deliveries are signed by, none if there is nothing. A file is read each
// time, so that another secret counts from the moment on that it is there.
func (t *Target) secrets() ([]string, error) {
	text := string(t.secret)
	if t.secretFile != "" {
		f, err := os.Open(t.secretFile)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		raw, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
		if err != nil {
			return nil, err
		}
		if text = string(raw); len(raw) > maxSecretFile || strings.TrimSpace(text) == "" {
			return nil, fmt.Errorf("secret_file is empty, or larger than %d bytes", maxSecretFile)
		}
	}
	var all []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if all = append(all, line); len(line) < minSecret || len(all) > maxSecrets {
			return nil, fmt.Errorf("want at most %d secrets, a line each, of at least %d bytes", maxSecrets, minSecret)
		}
	}
	return all, nil
}

// wants tells whether the target is to hear of an event. The media type is "" for what is
// deleted.
func (t *Target) wants(action Action, name ref.Name, mediaType string) bool {
	return t.actions[action] && t.names.Has(name) && !slices.Contains(t.ignore, mediaType)
}
