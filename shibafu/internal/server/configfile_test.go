package server

import (
	"bytes"
	"flag"
	"io"
	"reflect"
	"testing"
)

func TestFileErrorsHavePositions(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"unknown field", "{\n  \"addr\": \"127.0.0.1:1\",\n  \"adr\": 1\n}", `config.json:3:3: unknown field "adr"`},
		{"unknown field in a section", "{\"limits\": {\n\t\"blob\": 1,\n\t\t\"blobs\": 2}}", `config.json:3:3: unknown field "limits.blobs"`},
		{"unknown section", `{"storage": {"root": "/x"}}`, `config.json:1:2: unknown field "storage"`},
		{"another case", `{ "Root": "/x"}`, `config.json:1:3: unknown field "Root"`},
		{"a flag's name", `{"log-level": "info"}`, `config.json:1:2: unknown field "log-level"`},
		{"a path of fields as one word", `{"log.level": "info"}`, `config.json:1:2: unknown field "log.level"`},
		{"a section within a section", `{"limits": {"limits": {"blob": 1}}}`, `config.json:1:13: unknown field "limits.limits"`},
		{"empty field", `{"": 1}`, `config.json:1:2: unknown field ""`},
		{"duplicate", "{\"delete\": true,\n \"delete\": true}", `config.json:2:2: field "delete" is there twice`},
		{"duplicate section", `{"log": {}, "log": {}}`, `config.json:1:13: field "log" is there twice`},
		{"duplicate in a section", `{"log": {"level": "info", "level": "info"}}`, `config.json:1:27: field "log.level" is there twice`},
		{"duplicate by an escape", `{"root": "/x", "r\u006fot": "/y"}`, `config.json:1:16: field "root" is there twice`},
		{"text for a boolean", `{"delete": "true"}`, `config.json:1:12: delete: want a boolean`},
		{"text for a number", `{"limits": {"blob": "5"}}`, `config.json:1:21: limits.blob: want a number`},
		{"text for a port", `{"port": "5000"}`, `config.json:1:10: port: want a number`},
		{"number for text", `{"root": 5}`, `config.json:1:10: root: want a string`},
		{"number for a duration", "{\"limits\":\n{\"idle\":\n30}}", `config.json:3:1: limits.idle: want a string`},
		{"null", `{"root": null}`, `config.json:1:10: root: want a string`},
		{"list", `{"root": ["/x"]}`, `config.json:1:10: root: want a string`},
		{"object for a value", `{"root": {"path": "/x"}}`, `config.json:1:10: root: want a string`},
		{"value for an object", `{"limits": 5}`, `config.json:1:12: want an object`},
		{"fraction", `{"limits": {"blob": 1.5}}`, `config.json:1:21: limits.blob: want a whole number, not "1.5"`},
		{"exponent", `{"limits": {"blob": 1e3}}`, `config.json:1:21: limits.blob: want a whole number, not "1e3"`},
		{"number too large", `{"limits": {"blob": 9223372036854775808}}`, `config.json:1:21: limits.blob: want a whole number, not "9223372036854775808"`},
		{"no duration", `{"limits": {"idle": "30"}}`, `config.json:1:21: limits.idle: want a duration such as 90s or 1h30m, not "30"`},
		{"too small", "{\"limits\": {\n  \"idle\": \"0s\"}}", `config.json:2:11: limits.idle: want more than 0`},
		{"unknown policy", `{"missing": "maybe"}`, `config.json:1:13: missing: want reject, index or allow`},
		{"URL without host", `{"publicURL": "http://"}`, `config.json:1:15: publicURL: want http or https, a host, and perhaps a path`},
		{"address without port", `{"addr": "localhost"}`, `config.json:1:10: addr: want host:port, not "localhost"`},
		{"second object", "{}\n\n  {}", `config.json:3:3: something follows the settings`},
		{"trailing word", "{} x", `config.json:1:4: something follows the settings`},
		{"trailing comma", "{},", `config.json:1:3: something follows the settings`},
		{"list of settings", `["root"]`, `config.json:1:1: want an object`},
		{"only white space", " \n", `config.json:2:1: the file ends early`},
		{"cut in an object", "{\"root\": \"/x\",\n", `config.json:2:1: the file ends early`},
		{"cut in a word", `{"root": "/x`, `config.json:1:10: the file ends early`},
		{"comma before the end", `{"root": "/x", }`, `config.json:1:16: invalid character '}' looking for beginning of object key string`},
		{"comment", "{\n// where\n}", `config.json:2:1: invalid character '/'`},
		{"not UTF-8", "{\n\"root\": \"/\xff\"}", `config.json:2:11: not UTF-8`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := configure(t, tt.file, nil)
			checkSettingError(t, err, tt.want)
		})
	}
}

func TestEmptyFileIsTheDefaults(t *testing.T) {
	_, fs, err := configure(t, "{\"log\": {}, \"limits\": {}}\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	fs.VisitAll(func(f *flag.Flag) {
		if f.Name != "config" && f.Value.String() != f.DefValue {
			t.Errorf("%s is %s, and by default %s", f.Name, f.Value, f.DefValue)
		}
	})
}

// Print's file, read by a server that is told nothing else, makes the same
// settings.
func TestPrintRoundTrip(t *testing.T) {
	var flags []string
	for name, values := range samples {
		if name != "port" && name != "tls-self-signed" { // which others say too
			flags = append(flags, "--"+name+"="+values[2])
		}
	}
	for _, args := range [][]string{nil, flags, {"--port", "0", "--root", "/a <b> & \u2028 \"c\""}} {
		c, fs, err := configure(t, "", nil, args...)
		if err != nil {
			t.Fatal(err)
		}
		checkPrint(t, c, fs)
	}
}

func checkPrint(t *testing.T, c *Config, fs *flag.FlagSet) {
	t.Helper()
	var printed, again bytes.Buffer
	if err := c.Print(&printed, fs); err != nil {
		t.Fatal(err)
	}
	c2, fs2, err := settleFile(printed.Bytes())
	if err != nil {
		t.Fatalf("%v in\n%s", err, &printed)
	}
	if err := c2.Print(&again, fs2); err != nil || again.String() != printed.String() {
		t.Errorf("%v, and\n%sbecame\n%s", err, &printed, &again)
	}
	if a, b := bare(c), bare(c2); !reflect.DeepEqual(a, b) {
		t.Errorf("%+v\nbecame\n%+v", a, b)
	}
}

// bare is c without what ties it to its flags.
func bare(c *Config) Config {
	b := *c
	b.File, b.settings, b.made = "", nil, nil
	return b
}

// settleFile is Settle with a file that is in memory, and no more.
func settleFile(raw []byte) (*Config, *flag.FlagSet, error) {
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := NewConfig(fs)
	l, err := c.parseFile("config.json", raw)
	if err == nil {
		err = c.apply(fs, l)
	}
	if err == nil {
		err = c.check()
	}
	return c, fs, err
}

// FuzzFile reads anything: it is refused with a position, or means the same once
// it was printed.
func FuzzFile(f *testing.F) {
	for _, text := range []string{`{}`, `{"port":1}`, `{"limits":{"blob":-0}}`, `{"log":{"level":"\ud800"}}`, `{"limits":{"idle":"1us"}}`,
		`{"publicURL":"HTTP://x/%2f"}`, `{"addr":":1","delete":false}`, "{\"root\":\"\\u0000\xff\"}", `[[[`, `{5:1}`, `{"root" "x"}`, `{,"root":"x"}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, fs, err := settleFile(raw)
		if err != nil {
			if wrong, ok := err.(*SettingError); !ok || wrong.Where == "" {
				t.Errorf("%#v", err)
			}
			return
		}
		checkPrint(t, c, fs)
	})
}
