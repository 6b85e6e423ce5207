package server

import (
	"flag"
	"log/slog"
	"os"
	"path/filepath"

	"shibafu.dev/step3-api/api"
	"shibafu.dev/step4-upload/upload"
	"shibafu.dev/step5-manifest/manifest"
	"shibafu.dev/step5-manifest/repo"
	"shibafu.dev/step7-security/ratelimit"
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
	// AllowAnonymousAll is whether everybody who reaches the registry may do everything,
	// where others than this machine's own programs reach it.
	AllowAnonymousAll bool
	Auth              AuthConfig
	TLS               TLSConfig
	Proxies           ProxiesConfig
	// Source are the limits of each source of requests.
	Source ratelimit.Limits
	Logs   LogsConfig
	// Admin is host:port to serve figures and profiles at, "" for nowhere.
	Admin string

	File        string
	PrintConfig bool
	settings    []setting
	made        map[string]string // by flag, where the value comes from; none for a default
}

// kind is how a setting is written in JSON.
type kind string

const (
	jsonText   kind = "string"
	jsonNumber kind = "number"
	jsonBool   kind = "boolean"
)

// setting ties a flag to the field of the file that means the same.
type setting struct {
	flag, field string
	kind        kind
	want        string       // what a value must be
	valid       func() error // what the type of the value leaves open; may be nil
}

// NewConfig returns the defaults, and defines their flags.
func NewConfig(fs *flag.FlagSet) *Config {
	c := &Config{made: map[string]string{}}
	fs.StringVar(&c.File, "config", "", "read settings from this JSON `file`")
	fs.BoolVar(&c.PrintConfig, "print-config", false, "print the settings as a JSON file and exit")
	d := definer{fs, c}

	d.text(&c.Addr, "addr", "addr", "127.0.0.1:5000", "`host:port` to listen on", c.validAddr)
	fs.Var(&portValue{addr: &c.Addr}, "port", "`port` to listen on, at 127.0.0.1; short for --addr")
	d.define("port", "port", jsonNumber, "a port from 0 to 65535", nil)
	d.text(&c.Root, "root", "root", defaultRoot(os.Geteuid(), os.Getenv), "`folder` that holds the store", c.validRoot)
	d.text(&c.PublicURL, "public-url", "publicURL", "", "`URL` that clients reach this registry by, for Location headers; they are relative if it is empty", c.settlePublicURL)
	d.flag(&c.Delete, "delete", "delete", true, "let clients delete manifests, tags and blobs")
	d.word(&c.Missing, "missing", "missing", "`policy` for manifests that refer to what is not there: reject, index (take an index) or allow",
		string(repo.RejectMissing), string(repo.AllowMissingInIndex), string(repo.AllowMissing))
	fs.Var(levelValue{&c.LogLevel}, "log-level", "least `level` to log: debug, info, warn or error")
	d.define("log-level", "log.level", jsonText, "debug, info, warn or error", nil)
	d.word(&c.LogFormat, "log-format", "log.format", "`format` of the log: text or json", "text", "json")
	c.Logs.define(d)
	c.defineAccess(d)

	d.bytes(&c.Manifest, "limits-manifest", "limits.manifest", manifest.MaxSize, 1, "largest manifest, in `bytes`")
	d.bytes(&c.Cache, "limits-cache", "limits.cache", 16<<20, 1, "memory for manifests, and again for lists of tags, in `bytes`")
	d.bytes(&c.Uploads.Blob, "limits-blob", "limits.blob", 0, 0, "largest blob, in `bytes`; 0 for no limit (default 0)")
	d.count(&c.Uploads.Sessions, "limits-sessions", "limits.sessions", upload.DefaultSessions, "`number` of open uploads in all")
	d.count(&c.Uploads.PerRepository, "limits-repository-sessions", "limits.repositorySessions", upload.DefaultPerRepository, "`number` of open uploads in one repository")
	d.duration(&c.Uploads.Idle, "limits-session-idle", "limits.sessionIdle", upload.DefaultIdle, "how long an upload may wait for its next request")
	c.defineSource(d)
	d.duration(&c.HTTP.Header, "limits-header", "limits.header", api.DefaultHeader, "how long a request's header may take")
	d.count(&c.HTTP.HeaderBytes, "limits-header-bytes", "limits.headerBytes", api.DefaultHeaderBytes, "size of a request's header, in `bytes`")
	d.duration(&c.HTTP.Idle, "limits-idle", "limits.idle", api.DefaultIdle, "how long a connection may wait for its next request")
	d.bytes(&c.HTTP.Rate, "limits-rate", "limits.rate", api.DefaultRate, 1, "`bytes` a second that a body must move on by")
	d.duration(&c.HTTP.Window, "limits-window", "limits.window", api.DefaultWindow, "the time over which that rate is taken")
	d.duration(&c.HTTP.Drain, "limits-drain", "limits.drain", api.DefaultDrain, "how long requests may go on once the server was asked to stop")
	return c
}

// defaultRoot is for the user uid; "" if nothing says where that keeps data.
//
// Source: XDG Base Directory Specification.
func defaultRoot(uid int, getenv func(string) string) string {
	if uid == 0 {
		return "/var/lib/registry"
	}
	data := getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(data) { // to be ignored then
		home := getenv("HOME")
		if home == "" {
			return ""
		}
		data = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(data, "shibafu", "registry")
}
