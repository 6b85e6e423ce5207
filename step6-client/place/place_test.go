package place

import (
	"errors"
	"flag"
	"io"
	"reflect"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
)

func TestComplete(t *testing.T) {
	for text, want := range map[string]string{
		"alpine":                "docker.io/library/alpine:latest",
		"docker.io/alpine:3":    "docker.io/library/alpine:3",
		"docker://alpine":       "docker.io/library/alpine:latest",
		"team/app":              "docker.io/team/app:latest",
		"index.docker.io/a/b:c": "docker.io/a/b:c",
		"localhost:5000/app":    "localhost:5000/app:latest",
		"ghcr.io/a/b@" + digest.FromBytes(nil).String(): "ghcr.io/a/b@" + digest.FromBytes(nil).String(),
	} {
		got, err := Complete(text)
		if err != nil || got.String() != want {
			t.Errorf("%s is %s, %v, want %s", text, got, err, want)
		}
	}
	if _, err := Complete("a//b"); !errors.Is(err, ref.ErrReference) {
		t.Error(err)
	}
	if r, err := CompleteRepository("alpine"); err != nil || r.String() != "docker.io/library/alpine" {
		t.Errorf("%s, %v", r, err)
	}
}

func TestSplit(t *testing.T) {
	for text, want := range map[string][3]string{
		"localhost:5000/a:b":         {"", "", ""},
		"docker://a":                 {"", "", ""},
		"oci:here":                   {"oci", "here", ""},
		"oci:/a/b:localhost:5000/c":  {"oci", "/a/b", "localhost:5000/c"},
		"docker-archive:-":           {"docker-archive", "-", ""},
		"oci-archive:a.tar:c":        {"docker-archive", "a.tar", "c"},
		"ocifolder":                  {"", "", ""},
		"docker-archives/a:b":        {"", "", ""},
		"docker-archive:a.tar:c:d/e": {"docker-archive", "a.tar", "c:d/e"},
	} {
		k, path, name := split(text)
		if got := [3]string{string(k), path, name}; got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
}

func TestAccess(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	for _, tt := range []struct {
		name   string
		access Access
		host   string
		want   string // the origin, "" for ErrPlace
	}{
		{"this machine", Access{}, "localhost:5000", "http://localhost:5000"},
		{"another", Access{}, "example.com", "https://example.com"},
		{"another, plain", Access{Plain: Plain{All: true}}, "example.com", "http://example.com"},
		{"this machine, with a certificate", Access{SkipVerify: true}, "localhost:5000", "https://localhost:5000"},
		{"this machine, not plain", Access{Plain: Plain{None: true}}, "localhost:5000", "https://localhost:5000"},
		{"one is plain", Access{Plain: Plain{Hosts: []string{"localhost:5000"}}, SkipVerify: true}, "localhost:5000", "http://localhost:5000"},
		{"another is", Access{Plain: Plain{Hosts: []string{"localhost:5000"}}, SkipVerify: true}, "localhost:5001", "https://localhost:5001"},
		{"both", Access{Plain: Plain{All: true}, SkipVerify: true}, "localhost:5000", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := tt.access.Client(tt.host)
			if tt.want == "" {
				if !errors.Is(err, ErrPlace) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got := c.Origin().String(); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestDefaultStore(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/data")
	if got, err := DefaultStore(); got != "/data/shibafu/images" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("HOME", "")
	if got, err := DefaultStore(); got != "" || err == nil {
		t.Errorf("without a home: %q, %v", got, err)
	}
}

func TestPlain(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want Plain
		ok   bool
	}{
		{"unset", nil, Plain{}, true},
		{"alone", []string{"-plain-http"}, Plain{All: true}, true},
		{"off", []string{"--plain-http=false"}, Plain{None: true}, true},
		{"hosts", []string{"--plain-http=localhost:5000", "--plain-http=a.example"}, Plain{Hosts: []string{"localhost:5000", "a.example"}}, true},
		{"no host", []string{"--plain-http=http://x"}, Plain{}, false},
		{"path", []string{"--plain-http=localhost:5000/x"}, Plain{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var a Access
			flags := flag.NewFlagSet("test", flag.ContinueOnError)
			flags.SetOutput(io.Discard)
			a.Flags(flags)
			if err := flags.Parse(tt.args); (err == nil) != tt.ok || !reflect.DeepEqual(a.Plain, tt.want) {
				t.Errorf("%+v, %v; want %+v", a.Plain, err, tt.want)
			}
		})
	}
}
