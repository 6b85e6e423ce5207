package server

import (
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"shibafu.dev/step3-api/api"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
)

// Config is what a registry is served with. Every setting is a flag
// ("limits-blob"), an environment variable ("SHIBAFU_LIMITS_BLOB") and a field of
// the configuration file ({"limits": {"blob": …}}); a flag counts more than the
// environment, and that more than the file.
type Config struct {
	// Addr is host:port to listen on.
	Addr string
	// Root is the folder that holds the store.
	Root string
	// PublicURL is what clients see the registry as, for Location headers; ""
	// makes them relative.
	PublicURL string
	// Delete is whether manifests, tags and blobs can be deleted.
	Delete    bool
	Missing   string
	LogLevel  slog.Level
	LogFormat string
	// Manifest is the largest manifest, in bytes, and Cache what manifests may take
	// in memory.
	Manifest, Cache int64
	Uploads         upload.Limits
	HTTP            api.Limits

	File        string
	PrintConfig bool
	settings    []setting
}

// setting ties a flag to the field of the file that means the same.
type setting struct {
	flag, field string
	valid       func() bool // nil if check looks at it
}

// SettingError says which setting is wrong, and where it was made.
type SettingError struct {
	// Where is a flag, a variable or a position in a file.
	Where string
	Err   error
}

func (e *SettingError) Error() string { return e.Where + ": " + e.Err.Error() }

func (e *SettingError) Unwrap() error { return e.Err }

// NewConfig returns the defaults, and defines their flags.
func NewConfig(fs *flag.FlagSet) *Config {
	c := &Config{}
	fs.StringVar(&c.File, "config", "", "read settings from this JSON `file`")
	fs.BoolVar(&c.PrintConfig, "print-config", false, "print the settings as a JSON file and exit")

	define := func(name, field string) { c.settings = append(c.settings, setting{flag: name, field: field}) }
	text := func(p *string, name, field, value, usage string) {
		fs.StringVar(p, name, value, usage)
		define(name, field)
	}
	number := func(p *int, name, field string, value int, usage string) {
		fs.IntVar(p, name, value, usage)
		c.settings = append(c.settings, setting{name, field, func() bool { return *p > 0 }})
	}
	bytes := func(p *int64, name, field string, value, least int64, usage string) {
		fs.Int64Var(p, name, value, usage)
		c.settings = append(c.settings, setting{name, field, func() bool { return *p >= least }})
	}
	duration := func(p *time.Duration, name, field string, value time.Duration, usage string) {
		fs.DurationVar(p, name, value, usage)
		c.settings = append(c.settings, setting{name, field, func() bool { return *p > 0 }})
	}

	text(&c.Addr, "addr", "addr", "127.0.0.1:5000", "`host:port` to listen on")
	fs.Func("port", "`port` to listen on, at 127.0.0.1; short for --addr", c.setPort)
	define("port", "port")
	text(&c.Root, "root", "root", defaultRoot(), "`folder` that holds the store")
	text(&c.PublicURL, "public-url", "publicURL", "", "`URL` that clients reach this registry by, for Location headers; they are relative if it is empty")
	fs.BoolVar(&c.Delete, "delete", true, "let clients delete manifests, tags and blobs")
	define("delete", "delete")
	text(&c.Missing, "missing", "missing", string(repo.RejectMissing), "manifests that refer to what is not there: reject, index (take an index) or allow")
	fs.TextVar(&c.LogLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	define("log-level", "log.level")
	text(&c.LogFormat, "log-format", "log.format", "text", "text or json")

	bytes(&c.Manifest, "limits-manifest", "limits.manifest", manifest.MaxSize, 1, "largest manifest, in `bytes`")
	bytes(&c.Cache, "limits-cache", "limits.cache", 16<<20, 1, "memory for manifests, and again for lists of tags, in `bytes`")
	bytes(&c.Uploads.Blob, "limits-blob", "limits.blob", 0, 0, "largest blob, in `bytes`; 0 for no limit")
	number(&c.Uploads.Sessions, "limits-sessions", "limits.sessions", upload.DefaultSessions, "open uploads in all")
	number(&c.Uploads.PerRepository, "limits-repository-sessions", "limits.repositorySessions", upload.DefaultPerRepository, "open uploads in one repository")
	duration(&c.Uploads.Idle, "limits-session-idle", "limits.sessionIdle", upload.DefaultIdle, "how long an upload may wait for its next request")
	duration(&c.HTTP.Header, "limits-header", "limits.header", api.DefaultHeader, "how long a request's header may take")
	number(&c.HTTP.HeaderBytes, "limits-header-bytes", "limits.headerBytes", api.DefaultHeaderBytes, "size of a request's header, in `bytes`")
	duration(&c.HTTP.Idle, "limits-idle", "limits.idle", api.DefaultIdle, "how long a connection may wait for its next request")
	bytes(&c.HTTP.Rate, "limits-rate", "limits.rate", api.DefaultRate, 1, "`bytes` a second that a body must move on by")
	duration(&c.HTTP.Window, "limits-window", "limits.window", api.DefaultWindow, "the time over which that rate is taken")
	duration(&c.HTTP.Drain, "limits-drain", "limits.drain", api.DefaultDrain, "how long requests may go on once the server was asked to stop")
	return c
}

func (c *Config) setPort(text string) error {
	if _, err := strconv.ParseUint(text, 10, 16); err != nil {
		return errors.New("want a number from 0 to 65535")
	}
	c.Addr = net.JoinHostPort("127.0.0.1", text)
	return nil
}

func defaultRoot() string {
	if os.Geteuid() == 0 {
		return "/var/lib/registry"
	}
	data := os.Getenv("XDG_DATA_HOME")
	if data == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		data = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(data, "shibafu", "registry")
}

// Settle puts what fs was given on top of the environment, and that on top of the
// file. Wrong settings are SettingErrors.
func (c *Config) Settle(fs *flag.FlagSet, lookupEnv func(string) (string, bool)) error {
	given := map[string]string{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = f.Value.String() })
	if _, both := given["port"]; both {
		if _, both := given["addr"]; both {
			return &SettingError{"--port", errors.New("not together with --addr")}
		}
		given["addr"] = c.Addr // the flag "port" has no value of its own
		delete(given, "port")
	}
	if c.File == "" {
		c.File, _ = lookupEnv("SHIBAFU_CONFIG")
	}
	if c.File != "" {
		if err := c.readFile(fs); err != nil {
			return err
		}
	}
	for _, s := range c.settings {
		variable := "SHIBAFU_" + strings.ToUpper(strings.ReplaceAll(s.flag, "-", "_"))
		if value, ok := lookupEnv(variable); ok {
			if err := fs.Set(s.flag, value); err != nil {
				return &SettingError{variable, err}
			}
		}
	}
	for name, value := range given {
		if err := fs.Set(name, value); err != nil {
			return &SettingError{"--" + name, err}
		}
	}
	return c.check()
}

// check asks what the types of the settings leave open.
func (c *Config) check() error {
	switch repo.MissingPolicy(c.Missing) {
	case repo.RejectMissing, repo.AllowMissingInIndex, repo.AllowMissing:
	default:
		return &SettingError{"missing", errors.New("want reject, index or allow")}
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		return &SettingError{"log-format", errors.New("want text or json")}
	}
	if c.Root == "" {
		return &SettingError{"root", errors.New("there is no home folder to keep data in; name one")}
	}
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		return &SettingError{"addr", errors.New("want host:port")}
	}
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return &SettingError{"public-url", errors.New("want http or https, a host, and perhaps a path")}
		}
		c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	}
	for _, s := range c.settings {
		if s.valid != nil && !s.valid() {
			return &SettingError{s.flag, errors.New("too small")}
		}
	}
	return nil
}
