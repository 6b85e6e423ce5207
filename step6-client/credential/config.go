package credential

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// Config is the text of a config.json. What it holds besides credentials stays as
// it is.
type Config struct {
	fields map[string]json.RawMessage
	auths  map[string]json.RawMessage

	helper  string            // "credsStore": for all hosts
	helpers map[string]string // "credHelpers": by host
}

// entry is what "auths" has for a host.
type entry struct {
	Auth          string `json:"auth,omitempty"`
	Username      string `json:"username,omitempty"`
	Password      string `json:"password,omitempty"`
	IdentityToken string `json:"identitytoken,omitempty"`
	RegistryToken string `json:"registrytoken,omitempty"`
}

// ParseConfig reads the text of a config.json; "" is an empty one. ErrConfig.
func ParseConfig(raw []byte) (*Config, error) {
	c := &Config{fields: map[string]json.RawMessage{}, auths: map[string]json.RawMessage{}}
	if len(strings.TrimSpace(string(raw))) == 0 {
		return c, nil
	}
	if err := json.Unmarshal(raw, &c.fields); err != nil {
		return nil, ErrConfig // the text of err might hold a secret
	}
	for key, into := range map[string]any{"auths": &c.auths, "credsStore": &c.helper, "credHelpers": &c.helpers} {
		if field, ok := c.fields[key]; ok && json.Unmarshal(field, into) != nil {
			return nil, fmt.Errorf("%w: %s", ErrConfig, key)
		}
	}
	if c.fields == nil { // the text was "null"
		c.fields = map[string]json.RawMessage{}
	}
	if c.auths == nil {
		c.auths = map[string]json.RawMessage{}
	}
	return c, nil
}

// Helper is the name of the program that keeps the host's credentials, "" if the
// file does.
func (c *Config) Helper(host string) string {
	for _, key := range c.keys(host, func(key string) bool { _, ok := c.helpers[key]; return ok }) {
		return c.helpers[key]
	}
	return c.helper
}

// Get is what the file has for a place: a host, or a repository of one
// ("host/team/app"), for which the longest key counts that it is or lies in. ErrConfig.
//
// Source: containers-auth.json(5).
func (c *Config) Get(place string) (Credential, error) {
	for {
		cred, err := c.exactly(place)
		if err != nil || cred != (Credential{}) {
			return cred, err
		}
		i := strings.LastIndexByte(place, '/')
		if i < 0 {
			return Credential{}, nil
		}
		place = place[:i]
	}
}

// exactly is what the file has under the names of a place, and not of what that lies
// in.
func (c *Config) exactly(host string) (Credential, error) {
	for _, key := range c.keys(host, func(key string) bool { _, ok := c.auths[key]; return ok }) {
		var e entry
		if json.Unmarshal(c.auths[key], &e) != nil {
			return Credential{}, fmt.Errorf("%w: entry of %s", ErrConfig, host)
		}
		cred := Credential{e.Username, e.Password, e.IdentityToken, e.RegistryToken}
		if e.Auth != "" {
			raw, err := base64.StdEncoding.DecodeString(e.Auth)
			name, password, found := strings.Cut(string(raw), ":")
			if err != nil || !found || name == "" {
				return Credential{}, fmt.Errorf("%w: auth of %s", ErrConfig, host)
			}
			cred.Username, cred.Password = name, strings.TrimRight(password, "\x00")
		}
		if cred != (Credential{}) {
			return cred, nil
		}
	}
	return Credential{}, nil
}

// Set keeps cred for host in the file.
func (c *Config) Set(host string, cred Credential) {
	c.Remove(host)
	e := entry{IdentityToken: cred.IdentityToken, RegistryToken: cred.RegistryToken}
	if cred.Username != "" {
		e.Auth = base64.StdEncoding.EncodeToString([]byte(cred.Username + ":" + cred.Password))
	}
	c.auths[serverOf(host)], _ = json.Marshal(e)
}

// Remove forgets what the file has for host, under any of the names that stand for
// it, and tells whether there was anything.
func (c *Config) Remove(host string) (found bool) {
	for _, key := range c.keys(host, func(key string) bool { _, ok := c.auths[key]; return ok }) {
		delete(c.auths, key)
		found = true
	}
	return found
}

// Encode is the text again, which ParseConfig reads.
func (c *Config) Encode() ([]byte, error) {
	fields := map[string]json.RawMessage{}
	for key, value := range c.fields {
		fields[key] = value
	}
	delete(fields, "auths")
	if len(c.auths) > 0 {
		auths, err := json.Marshal(c.auths)
		if err != nil {
			return nil, err
		}
		fields["auths"] = auths
	}
	raw, err := json.MarshalIndent(fields, "", "\t")
	return append(raw, '\n'), err
}

// hubServer is the name that docker has always kept its own registry's credentials
// by.
const hubServer = "https://index.docker.io/v1/"

// serverOf is the key by which a host is kept.
func serverOf(host string) string {
	switch host {
	case "docker.io", "index.docker.io", "registry-1.docker.io":
		return hubServer
	}
	return host
}

// keys are the names that stand for host and are there: its own first, then
// URLs that other clients have made of it.
func (c *Config) keys(host string, there func(string) bool) []string {
	server := serverOf(host)
	candidates := []string{server, "https://" + server, "https://" + server + "/", "http://" + server, "http://" + server + "/",
		"https://" + server + "/v1/", "https://" + server + "/v2/"}
	if server == hubServer {
		candidates = []string{server, "docker.io", "index.docker.io", "registry-1.docker.io"}
	}
	var found []string
	for _, key := range candidates {
		if there(key) {
			found = append(found, key)
		}
	}
	return found
}
