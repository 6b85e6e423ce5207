package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// clean keeps the settings of whoever runs the tests out of them.
func clean(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "SHIBAFU_") {
			t.Setenv(name, "")
		}
	}
}

// run is Run with what it prints.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = Run(t.Context(), args, Streams{strings.NewReader(""), &out, &err})
	return code, out.String(), err.String()
}

func TestExitCodes(t *testing.T) {
	clean(t)
	root, none := t.TempDir(), filepath.Join(t.TempDir(), "none")
	const usage, hint = "\n  shibafu registry serve ", " --help lists the flags.\n"
	for _, tt := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string // what is in them; nothing may be where these are ""
	}{
		{"no args", nil, 2, "", usage},
		{"help", []string{"help"}, 0, usage, ""},
		{"--help", []string{"--help"}, 0, usage, ""},
		{"-h", []string{"-h"}, 0, usage, ""},
		{"unknown command", []string{"regsitry", "serve"}, 2, "", "shibafu: no such command: regsitry serve\n"},
		{"half a command", []string{"registry"}, 2, "", "shibafu: no such command: registry\n"},
		{"half a command and a flag", []string{"registry", "--root"}, 2, "", "shibafu: no such command: registry --root\n"},
		{"help on a command", []string{"registry", "serve", "--help"}, 0, "Usage: shibafu registry serve [flags]\n", ""},
		{"help with a command", []string{"help", "registry", "serve"}, 0, "Usage: shibafu registry serve [flags]\n", ""},
		{"help with no command", []string{"help", "fly"}, 2, "", "shibafu: no such command: fly"},
		{"help on a command, before it", []string{"--root=/x", "--help", "registry", "fsck"}, 0, "Usage: shibafu registry fsck [flags]\n", ""},
		{"unknown flag", []string{"registry", "serve", "--prot", "1"}, 2, "", "flag provided but not defined: -prot\nshibafu registry serve" + hint},
		{"unknown flag before the command", []string{"--prot=1", "registry", "serve"}, 2, "", "flag provided but not defined: -prot\n"},
		{"flag of another command", []string{"registry", "serve", "--repair"}, 2, "", "flag provided but not defined: -repair\n"},
		{"flag without its value", []string{"registry", "serve", "--root"}, 2, "", "flag needs an argument: -root\n"},
		{"wrong value", []string{"registry", "serve", "--port", "70000"}, 2, "", `invalid value "70000" for flag -port: want a number from 0 to 65535`},
		{"wrong setting", []string{"registry", "serve", "--missing", "x"}, 2, "", "shibafu registry serve: --missing: want reject, index or allow\n"},
		{"two settings that exclude each other", []string{"registry", "serve", "--port", "1", "--addr", ":1"}, 2, "", "shibafu registry serve: --port: not together with --addr\n"},
		{"argument", []string{"registry", "serve", "5000"}, 2, "", "unexpected argument: 5000\nshibafu registry serve" + hint},
		{"argument before the command", []string{"x", "registry", "fsck"}, 2, "", "unexpected argument: x\n"},
		{"file that is not there", []string{"registry", "serve", "--config", none}, 1, "", "shibafu registry serve: open " + none + ": no such file or directory\n"},
		{"address of another machine", []string{"registry", "serve", "--root", root, "--addr", "192.0.2.1:0"}, 1, "", "shibafu registry serve: listen tcp 192.0.2.1:0: "},
		{"clean store", []string{"registry", "fsck", "--root", root}, 0, "0 blobs read, 0 faults\n", ""},
		{"clean store, flags before", []string{"--root", root, "registry", "fsck"}, 0, "0 blobs read, 0 faults\n", ""},
		{"clean store, flags on both sides", []string{"--repair", "registry", "fsck", "--root", root}, 0, "0 blobs read, 0 faults\n", ""},
		{"no store", []string{"registry", "fsck", "--root", none}, 1, "", "shibafu registry fsck: stat " + none + ": no such file or directory\n"},
		{"a value that is a command", []string{"registry", "fsck", "--root", none, "--missing", "registry", "serve"}, 2, "", "unexpected argument: serve\nshibafu registry fsck" + hint},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := run(t, tt.args...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			holds(t, "stdout", stdout, tt.stdout)
			holds(t, "stderr", stderr, tt.stderr)
		})
	}
}

func holds(t *testing.T, what, got, want string) {
	t.Helper()
	if want == "" && got != "" || !strings.Contains(got, want) {
		t.Errorf("%s is %q, want %q", what, got, want)
	}
}

func TestUsageListsTheCommands(t *testing.T) {
	_, stdout, _ := run(t, "help")
	for _, c := range commands() {
		holds(t, "usage", stdout, "  shibafu "+c.name+" ")
		holds(t, "usage", stdout, "  "+c.what+"\n")
	}
}

func TestPrintConfig(t *testing.T) {
	clean(t)
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(`{"limits": {"blob": 5}, "port": 6000}`), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SHIBAFU_LOG_LEVEL", "debug")
	t.Setenv("SHIBAFU_CONFIG", file)
	for _, command := range []string{"serve", "fsck"} {
		code, stdout, stderr := run(t, "registry", command, "--root", "/x", "--print-config")
		var got struct {
			Addr, Root string
			Limits     struct{ Blob int }
			Log        struct{ Level string }
		}
		if err := json.Unmarshal([]byte(stdout), &got); code != 0 || err != nil || stderr != "" {
			t.Fatalf("%d, %v, %s", code, err, stderr)
		}
		if got.Addr != "127.0.0.1:6000" || got.Root != "/x" || got.Limits.Blob != 5 || got.Log.Level != "debug" {
			t.Errorf("%s: %+v", command, got)
		}
	}
}

// listening tells what a server prints first.
type listening struct{ line chan string }

func (l listening) Write(p []byte) (int, error) {
	l.line <- string(p)
	return len(p), nil
}

func TestServe(t *testing.T) {
	clean(t)
	root := filepath.Join(t.TempDir(), "new", "store")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, stderr := listening{make(chan string, 1)}, &bytes.Buffer{}
	exited := make(chan int, 1)
	go func() {
		exited <- Run(ctx, []string{"registry", "serve", "--port", "0", "--root", root, "--log-format", "json"}, Streams{nil, out, stderr})
	}()
	var line string
	select {
	case line = <-out.line:
	case code := <-exited:
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var addr string
	if n, _ := fmt.Sscanf(line, "shibafu: serving on %s", &addr); n != 1 || line != "shibafu: serving on "+addr+" data in "+root+"\n" || !strings.HasPrefix(addr, "http://127.0.0.1:") {
		t.Fatalf("it says %q", line)
	}
	resp, err := http.Get(strings.TrimSuffix(addr, ",") + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || string(body) != "{}" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	code, _, second := run(t, "registry", "serve", "--port", "0", "--root", root)
	if want := fmt.Sprintf("%s is held by process %d\n", root, os.Getpid()); code != 1 || !strings.HasSuffix(second, want) {
		t.Errorf("second server: exit code %d, %q", code, second)
	}
	cancel()
	if code := <-exited; code != 0 || stderr.Len() > 0 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestFsckFindsFaults(t *testing.T) {
	clean(t)
	root, digest := t.TempDir(), strings.Repeat("ab", 32)
	file := filepath.Join(root, "blobs", "sha256", "ab", digest, "data")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	fsck := func(want int, first, last string, flags ...string) {
		t.Helper()
		code, stdout, stderr := run(t, append([]string{"registry", "fsck", "--root", root}, flags...)...)
		if code != want || stderr != "" || !strings.HasPrefix(stdout, first) || !strings.HasSuffix(stdout, last) {
			t.Errorf("exit code %d, %s%s", code, stdout, stderr)
		}
	}
	fsck(1, "blob sha256:"+digest+": content does not match", "\n1 blobs read, 1 faults\n")
	fsck(0, "blob sha256:"+digest+": content does not match", "(moved to shibafu/quarantine/sha256-"+digest+")\n1 blobs read, 1 faults\n", "--repair")
	fsck(0, "0 blobs read, 0 faults\n", "")
}
