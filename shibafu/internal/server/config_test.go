package server

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// configure settles what the three layers say. The file is config.json in a folder
// of its own; there is none if file is "".
func configure(t *testing.T, file string, env map[string]string, args ...string) (*Config, *flag.FlagSet, error) {
	t.Helper()
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := NewConfig(fs)
	if file != "" {
		t.Chdir(t.TempDir())
		if err := os.WriteFile("config.json", []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append([]string{"--config", "config.json"}, args...)
	}
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return c, fs, c.Settle(fs, lookup(env))
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { value, ok := env[name]; return value, ok }
}

// shown is what a setting is, as its flag shows it.
func shown(fs *flag.FlagSet, name string) string { return fs.Lookup(name).Value.String() }

// samples has for every setting three values other than its default, as they stand
// in a file, in the environment and on the command line.
var samples = map[string][3]string{
	"addr":                       {`"127.0.0.1:1"`, "127.0.0.1:2", "127.0.0.1:3"},
	"port":                       {`1`, "2", "3"},
	"root":                       {`"/one"`, "/two", "/three"},
	"public-url":                 {`"http://one"`, "http://two", "http://three"},
	"delete":                     {`false`, "true", "false"},
	"missing":                    {`"index"`, "allow", "reject"},
	"log-level":                  {`"debug"`, "warn", "error"},
	"log-format":                 {`"json"`, "text", "json"},
	"log-access":                 {`"one"`, "two", "three"},
	"log-access-every":           {`2`, "3", "4"},
	"log-audit":                  {`"one"`, "two", "three"},
	"log-audit-size":             {`5000`, "6000", "7000"},
	"log-audit-keep":             {`1`, "2", "3"},
	"allow-anonymous-all":        {`true`, "false", "true"},
	"auth-policy":                {`"one"`, "two", "three"},
	"auth-htpasswd":              {`"one"`, "two", "three"},
	"auth-issuers":               {`"one"`, "two", "three"},
	"auth-token-lifetime":        {`"1m0s"`, "2m0s", "3m0s"},
	"tls-cert":                   {`"one"`, "two", "three"},
	"tls-key":                    {`"one"`, "two", "three"},
	"tls-self-signed":            {`true`, "false", "true"},
	"tls-client-ca":              {`"one"`, "two", "three"},
	"tls-client-auth":            {`"required"`, "optional", "required"},
	"tls-h2c":                    {`true`, "false", "true"},
	"proxies":                    {`"10.0.0.1"`, "10.0.0.2", "10.0.0.3"},
	"proxies-style":              {`"forwarded"`, "x-forwarded", "forwarded"},
	"admin-addr":                 {`"127.0.0.1:1"`, "127.0.0.1:2", "127.0.0.1:3"},
	"limits-source-requests":     {`1`, "2", "3"},
	"limits-source-bytes":        {`1`, "2", "3"},
	"limits-source-at-once":      {`1`, "2", "3"},
	"limits-source-sessions":     {`1`, "2", "3"},
	"limits-manifest":            {`1`, "2", "3"},
	"limits-cache":               {`1`, "2", "3"},
	"limits-blob":                {`1`, "2", "3"},
	"limits-sessions":            {`1`, "2", "3"},
	"limits-repository-sessions": {`1`, "2", "3"},
	"limits-session-idle":        {`"1s"`, "2s", "3s"},
	"limits-header":              {`"1s"`, "2s", "3s"},
	"limits-header-bytes":        {`1`, "2", "3"},
	"limits-idle":                {`"1s"`, "2s", "3s"},
	"limits-rate":                {`1`, "2", "3"},
	"limits-window":              {`"1s"`, "2s", "3s"},
	"limits-drain":               {`"1s"`, "2s", "3s"},
}

// companions are what a setting goes with.
var companions = map[string]string{
	"tls-cert":      "--tls-key=key",
	"tls-key":       "--tls-cert=cert",
	"tls-client-ca": "--tls-self-signed",
}

func TestFlagOverEnvironmentOverFile(t *testing.T) {
	settings := NewConfig(flag.NewFlagSet("", flag.ContinueOnError)).settings
	if len(settings) != len(samples) {
		t.Fatalf("%d settings, %d samples", len(settings), len(samples))
	}
	for _, s := range settings {
		t.Run(s.flag, func(t *testing.T) {
			values := samples[s.flag]
			file := `{"` + s.field + `": ` + values[0] + `}`
			if section, word, ok := strings.Cut(s.field, "."); ok {
				file = `{"` + section + `": {"` + word + `": ` + values[0] + `}}`
			}
			env := map[string]string{s.variable(): values[1]}
			flags := []string{"--" + s.flag + "=" + values[2]}
			for _, tt := range []struct {
				name string
				file string
				env  map[string]string
				args []string
				want string
			}{
				{"file", file, nil, nil, strings.Trim(values[0], `"`)},
				{"environment", "", env, nil, values[1]},
				{"flag", "", nil, flags, values[2]},
				{"environment over file", file, env, nil, values[1]},
				{"flag over file", file, nil, flags, values[2]},
				{"flag over environment", "", env, flags, values[2]},
				{"flag over both", file, env, flags, values[2]},
				{"an empty variable says nothing", file, map[string]string{s.variable(): ""}, nil, strings.Trim(values[0], `"`)},
			} {
				if with, ok := companions[s.flag]; ok {
					tt.args = append([]string{with}, tt.args...)
				}
				_, fs, err := configure(t, tt.file, tt.env, tt.args...)
				if err != nil || shown(fs, s.flag) != tt.want {
					t.Errorf("%s: %q, %v, want %q", tt.name, shown(fs, s.flag), err, tt.want)
				}
			}
		})
	}
}

// --port is another way to say --addr, so the two are one setting.
func TestPortAndAddr(t *testing.T) {
	env := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for pair := range slices.Chunk(pairs, 2) {
			m[pair[0]] = pair[1]
		}
		return m
	}
	for _, tt := range []struct {
		name string
		file string
		env  map[string]string
		args []string
		addr string
		err  string
	}{
		{"port in the file", `{"port": 1}`, nil, nil, "127.0.0.1:1", ""},
		{"port in the environment over addr in the file", `{"addr": "0.0.0.0:1"}`, env("SHIBAFU_PORT", "2"), nil, "127.0.0.1:2", ""},
		{"addr in the environment over port in the file", `{"port": 1}`, env("SHIBAFU_ADDR", "0.0.0.0:2"), nil, "0.0.0.0:2", ""},
		{"flag port over addr in the environment", "", env("SHIBAFU_ADDR", "0.0.0.0:2"), []string{"--port", "3"}, "127.0.0.1:3", ""},
		{"flag addr over port in the environment", "", env("SHIBAFU_PORT", "2"), []string{"--addr", "[::1]:3"}, "[::1]:3", ""},
		{"flag port over addr in file and environment", `{"addr": "0.0.0.0:1"}`, env("SHIBAFU_ADDR", "0.0.0.0:2"), []string{"--port", "3"}, "127.0.0.1:3", ""},
		{"the last of two flags", "", nil, []string{"--port", "3", "--port", "4"}, "127.0.0.1:4", ""},
		{"both flags", "", nil, []string{"--port", "3", "--addr", "127.0.0.1:4"}, "", "--port: not together with --addr"},
		{"both flags, the other way round", "", nil, []string{"--addr", "127.0.0.1:4", "--port", "3"}, "", "--port: not together with --addr"},
		{"both variables", "", env("SHIBAFU_PORT", "2", "SHIBAFU_ADDR", "127.0.0.1:3"), nil, "", "SHIBAFU_PORT: not together with SHIBAFU_ADDR"},
		{"both fields", `{"port": 1, "addr": "127.0.0.1:2"}`, nil, nil, "", "config.json:1:10: port: not together with config.json:1:21: addr"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _, err := configure(t, tt.file, tt.env, tt.args...)
			checkSettingError(t, err, tt.err)
			if tt.err == "" && c.Addr != tt.addr {
				t.Errorf("%s, want %s", c.Addr, tt.addr)
			}
		})
	}
}

// checkSettingError wants a SettingError that reads so, or none.
func checkSettingError(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	var wrong *SettingError
	if !errors.As(err, &wrong) || err.Error() != want {
		t.Errorf("error %v\nwant  %s", err, want)
	}
}

// What is wrong is named by where it was said, not where it was overruled.
func TestWrongSettings(t *testing.T) {
	for _, tt := range []struct {
		name string
		file string
		env  map[string]string
		args []string
		want string
	}{
		{"variable of the wrong type", "", map[string]string{"SHIBAFU_DELETE": "maybe"}, nil, `SHIBAFU_DELETE: want true or false, not "maybe"`},
		{"variable that is no number", "", map[string]string{"SHIBAFU_LIMITS_BLOB": "1GiB"}, nil, `SHIBAFU_LIMITS_BLOB: want a whole number, not "1GiB"`},
		{"variable that is no duration", "", map[string]string{"SHIBAFU_LIMITS_IDLE": "30"}, nil, `SHIBAFU_LIMITS_IDLE: want a duration such as 90s or 1h30m, not "30"`},
		{"variable that is no level", "", map[string]string{"SHIBAFU_LOG_LEVEL": "info+2"}, nil, `SHIBAFU_LOG_LEVEL: want debug, info, warn or error, not "info+2"`},
		{"variable that is no port", "", map[string]string{"SHIBAFU_PORT": "65536"}, nil, `SHIBAFU_PORT: want a port from 0 to 65535, not "65536"`},
		{"policy", "", nil, []string{"--missing", "maybe"}, "--missing: want reject, index or allow"},
		{"format", "", map[string]string{"SHIBAFU_LOG_FORMAT": "xml"}, nil, "SHIBAFU_LOG_FORMAT: want text or json"},
		{"no root", "", nil, []string{"--root", ""}, "--root: there is no home folder to keep data in; name a folder"},
		{"no port", "", nil, []string{"--addr", "localhost"}, `--addr: want host:port, not "localhost"`},
		{"port too large", "", nil, []string{"--addr", "localhost:65536"}, `--addr: want host:port, not "localhost:65536"`},
		{"port with a name", "", nil, []string{"--addr", "localhost:http"}, `--addr: want host:port, not "localhost:http"`},
		{"address of version 6 without brackets", "", nil, []string{"--addr", "::1:5000"}, `--addr: want host:port, not "::1:5000"`},
		{"URL without scheme", "", nil, []string{"--public-url", "registry.example"}, "--public-url: want http or https, a host, and perhaps a path"},
		{"URL of another scheme", "", nil, []string{"--public-url", "ftp://registry.example"}, "--public-url: want http or https, a host, and perhaps a path"},
		{"URL without host", "", nil, []string{"--public-url", "http://:5000"}, "--public-url: want http or https, a host, and perhaps a path"},
		{"URL with a password, which would go to every client", "", nil, []string{"--public-url", "http://me:secret@registry.example"}, "--public-url: want http or https, a host, and perhaps a path"},
		{"URL with a query", "", nil, []string{"--public-url", "http://registry.example/?a=b"}, "--public-url: want http or https, a host, and perhaps a path"},
		{"URL with an empty query", "", nil, []string{"--public-url", "http://registry.example?"}, "--public-url: want http or https, a host, and perhaps a path"},
		{"URL with a fragment", "", nil, []string{"--public-url", "http://registry.example#"}, "--public-url: want http or https, a host, and perhaps a path"},
		{"URL with a line end", "", nil, []string{"--public-url", "http://registry.example/\r\nX: y"}, "--public-url: want http or https, a host, and perhaps a path"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := configure(t, "", tt.env, tt.args...)
			checkSettingError(t, err, tt.want)
		})
	}
}

func TestLimitsTooSmall(t *testing.T) {
	c := NewConfig(flag.NewFlagSet("", flag.ContinueOnError))
	for _, s := range c.settings {
		if !strings.HasPrefix(s.flag, "limits-") {
			continue
		}
		zero, less, problem := "0", "-1", "want more than 0"
		if s.kind == jsonText {
			zero, less = "0s", "-1s"
		}
		if s.flag == "limits-blob" || strings.HasPrefix(s.flag, "limits-source-") { // where 0 is no limit
			zero, problem = "-1", "less than 0"
		}
		for _, text := range []string{zero, less} {
			_, _, err := configure(t, "", nil, "--"+s.flag+"="+text)
			checkSettingError(t, err, "--"+s.flag+": "+problem)
		}
	}
	if _, _, err := configure(t, "", nil, "--limits-blob=0"); err != nil {
		t.Errorf("no limit for blobs: %v", err)
	}
}

func TestPublicURLs(t *testing.T) {
	for given, want := range map[string]string{
		"":                               "",
		"http://registry.example":        "http://registry.example",
		"https://registry.example:8443":  "https://registry.example:8443",
		"https://registry.example/":      "https://registry.example",
		"https://registry.example/a/b//": "https://registry.example/a/b",
		"HTTPS://registry.example/a b":   "https://registry.example/a%20b",
		"http://[::1]:5000":              "http://[::1]:5000",
	} {
		if c, _, err := configure(t, "", nil, "--public-url", given); err != nil || c.PublicURL != want {
			t.Errorf("%q: %q, %v, want %q", given, c.PublicURL, err, want)
		}
	}
}

func TestDefaultRoot(t *testing.T) {
	for _, tt := range []struct {
		name string
		uid  int
		env  map[string]string
		want string
	}{
		{"root", 0, map[string]string{"HOME": "/root", "XDG_DATA_HOME": "/data"}, "/var/lib/registry"},
		{"user", 1000, map[string]string{"HOME": "/home/u"}, "/home/u/.local/share/shibafu/registry"},
		{"user with a data folder", 1000, map[string]string{"HOME": "/home/u", "XDG_DATA_HOME": "/data/u"}, "/data/u/shibafu/registry"},
		{"user with a relative data folder", 1000, map[string]string{"HOME": "/home/u", "XDG_DATA_HOME": "data"}, "/home/u/.local/share/shibafu/registry"},
		{"user without home", 1000, nil, ""},
	} {
		if got := defaultRoot(tt.uid, func(name string) string { return tt.env[name] }); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestFileNamedByTheEnvironment(t *testing.T) {
	folder := t.TempDir()
	one, two := filepath.Join(folder, "one.json"), filepath.Join(folder, "two.json")
	for name, text := range map[string]string{one: `{"root": "/one"}`, two: `{"root": "/two"}`} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"SHIBAFU_CONFIG": one}
	if c, _, err := configure(t, "", env); err != nil || c.Root != "/one" {
		t.Errorf("by the environment: %q, %v", c.Root, err)
	}
	if c, _, err := configure(t, "", env, "--config", two); err != nil || c.Root != "/two" {
		t.Errorf("by the flag, over the environment: %q, %v", c.Root, err)
	}
	env["SHIBAFU_CONFIG"] = filepath.Join(folder, "none.json")
	if _, _, err := configure(t, "", env); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestLogLevels(t *testing.T) {
	for given, want := range map[string]string{"debug": "debug", "INFO": "info", "Warn": "warn", "error": "error"} {
		if _, fs, err := configure(t, "", nil, "--log-level", given); err != nil || shown(fs, "log-level") != want {
			t.Errorf("%s: %q, %v", given, shown(fs, "log-level"), err)
		}
	}
}
