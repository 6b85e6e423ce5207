package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const aDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// exec runs the program in this process.
func exec(stdin string, args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	code = run(args, strings.NewReader(stdin), &out, &errs)
	return out.String(), errs.String(), code
}

func TestExitCodes(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		code   int
		reason string
	}{
		{"nothing", nil, exitUsage, "there is no default command"},
		{"help", []string{"-h"}, exitOK, "who asks for help has done nothing wrong"},
		{"unknown command", []string{"explode"}, exitUsage, ""},
		{"endpoints", []string{"endpoints"}, exitOK, ""},
		{"endpoints as Markdown", []string{"endpoints", "--markdown"}, exitOK, ""},
		{"endpoints of what", []string{"endpoints", "all"}, exitUsage, ""},
		{"errors", []string{"errors"}, exitOK, ""},
		{"errors twice", []string{"errors", "--markdown", "--markdown"}, exitUsage, ""},
		{"valid digest", []string{"check", "digest", aDigest}, exitOK, ""},
		{"invalid digest", []string{"check", "digest", "sha256:abc"}, exitInvalid, ""},
		{"unknown grammar", []string{"check", "colour", "red"}, exitUsage, ""},
		{"check nothing", []string{"check", "tag"}, exitUsage, ""},
		{"request", []string{"request", "GET /v2/"}, exitOK, ""},
		{"request with a version", []string{"request", "GET /v2/ HTTP/1.1"}, exitOK, "as it stands on the wire"},
		{"request in two words", []string{"request", "GET", "/v2/"}, exitUsage, "it is one argument"},
		{"request without a path", []string{"request", "GET"}, exitUsage, ""},
		{"request with a bad method", []string{"request", "G(T /v2/"}, exitInvalid, "the server's parser refuses it"},
		{"request to nowhere", []string{"request", "GET /"}, exitInvalid, ""},
		{"explain nothing", []string{"explain"}, exitUsage, ""},
		{"explain a missing file", []string{"explain", filepath.Join(t.TempDir(), "none")}, exitUsage, ""},
		{"explain rubbish", []string{"explain", "-"}, exitInvalid, "standard input is empty here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stdout, stderr, code := exec("", tt.args...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d (%s)", code, tt.code, tt.reason)
			}
			if (stderr != "") != (tt.code == exitUsage) || (stdout != "") == (tt.code == exitUsage) {
				t.Errorf("stdout %q, stderr %q", stdout, stderr)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	tests := []struct{ name, grammar, text, want string }{
		{"digest", "digest", aDigest, "valid digest\nalgorithm  sha256\nhex        " + aDigest[7:] + "\n"},
		{"bad digest", "digest", "md5:00", "invalid digest: unsupported algorithm\n"},
		{"name", "name", "a/b", "valid name\nparts      a, b\nlength     3 of at most 255 bytes\n"},
		{"bad name", "name", "", "invalid repository name: empty\n"},
		{"tag", "tag", "v1", "valid tag\nlength     2 of at most 128 bytes\n"},
		{"bad tag", "tag", "-v", "invalid tag: want letters, digits, _ . and -, not led by . or -\n"},
		{"ref", "ref", "a", "valid ref\nhost       none; docker would take docker.io\nname       a\ntag        none; clients take latest\n"},
		{"ref by digest", "ref", "h:1/a@" + aDigest, "valid ref\nhost       h:1\nname       a\ntag        none\ndigest     " + aDigest + "\nmeans      these bytes and no others; a tag beside a digest is a remark\n"},
		{"bad ref", "ref", "h:0/a", "invalid reference: host\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, _, _ := exec("", "check", tt.grammar, tt.text); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	tests := []struct{ name, line, want string }{
		{"variant by query", "POST /v2/a/blobs/uploads/?mount=x", "end-11\n"},
		{"plain variant", "POST /v2/a/blobs/uploads/", "end-4a\n"},
		{"digest as reference", "GET /v2/a/manifests/" + aDigest, "digest     " + aDigest},
		{"digest of a blob", "HEAD /v2/a/blobs/" + aDigest, "digest     " + aDigest},
		{"session", "PATCH /v2/a/blobs/uploads/01234567-89ab-4cde-8f01-23456789abcd", "session    01234567-89ab"},
		{"catalog", "GET /v2/_catalog?n=10", "not in the specification"},
		{"bad name", "GET /v2/A/tags/list", "400 Bad Request, NAME_INVALID"},
		{"bad tag", "GET /v2/a/manifests/.x", "404 Not Found, MANIFEST_UNKNOWN"},
		{"bad path", "GET /v2/a", "404 Not Found, UNSUPPORTED"},
		{"bad method", "POST /v2/a/manifests/x", "405 Method Not Allowed, UNSUPPORTED"},
		{"allowed methods", "POST /v2/a/manifests/x", "GET, HEAD, PUT, DELETE"},
		{"not HTTP", "GET v2", "not a request line"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, _, _ := exec("", "request", tt.line); !strings.Contains(got, tt.want) {
				t.Errorf("%s\nlacks %q", got, tt.want)
			}
		})
	}
}

func TestMarkdown(t *testing.T) {
	for command, rows := range map[string]int{"endpoints": 23, "errors": 18} {
		out, _, _ := exec("", command, "--markdown")
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if len(lines) != rows {
			t.Errorf("%s: %d lines, want %d", command, len(lines), rows)
		}
		for _, line := range lines {
			if strings.Count(line, "|") != strings.Count(lines[0], "|") {
				t.Errorf("%s: %q has another number of columns", command, line)
			}
		}
	}
}

func TestExplain(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"kind", `{"schemaVersion":2,"manifests":[]}`, "An image index (OCI image specification, image-index.md) of 34 bytes.\n"},
		{"name", `{"schemaVersion":2,"manifests":[]}`, "is sha256:"},
		{"advice", `{"schemaVersion":2,"manifests":[]}`, "Advice:\n  mediaType: missing; it SHOULD be there\n"},
		{"fault", `{"manifests":[]}`, "Wrong:\n  schemaVersion: missing, and REQUIRED\n"},
		{"type in words", `{"layers":[{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}]}`, "(Docker layer, tar and gzip, may stay away)"},
		{"unknown key", `{"manifests":[],"x":1}`, "x: not in the specification; kept and not looked at\n"},
		{"key out of place", `{"layers":[],"manifests":[]}`, "manifests: a field of an image index; out of place here\n"},
		{"wrong kind of value", `{"manifests":[],"mediaType":[1,{"b":2}]}`, `[1] {"b":2}`},
		{"null", `{"manifests":[],"subject":null}`, "subject: null\n"},
		{"escape sequence", `{"manifests":[],"\u001b[2J":1}`, `"\x1b[2J": not in`},
		{"long value", `{"manifests":[],"mediaType":"` + strings.Repeat("x", 1000) + `"}`, "x… (1000 bytes)\n"},
		{"set", `{"os":"l","rootfs":{},"config":{"ExposedPorts":{"80/tcp":{}}}}`, "    80/tcp\n"},
		{"nothing wrong", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`, "Nothing is wrong in it.\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, _, _ := exec(tt.text, "explain", "-"); !strings.Contains(got, tt.want) {
				t.Errorf("%s\nlacks %q", got, tt.want)
			}
		})
	}
}

// Each purpose is told once, however many layers there are.
func TestExplainDoesNotRepeatItself(t *testing.T) {
	got, _, _ := exec(`{"layers":[{"size":1},{"size":2}]}`, "explain", "-")
	if n := strings.Count(got, "The length in bytes"); n != 1 {
		t.Errorf("told %d times:\n%s", n, got)
	}
}

func TestExplainReadsAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "index.json")
	if err := os.WriteFile(name, []byte(`{"schemaVersion":2,"manifests":[]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, _, code := exec("", "explain", name); code != exitOK || !strings.HasPrefix(got, "An image index") {
		t.Errorf("exit code %d: %s", code, got)
	}
}

func TestExplainRefusesHugeInput(t *testing.T) {
	if _, stderr, code := exec(strings.Repeat(" ", maxDocument+1), "explain", "-"); code != exitUsage || stderr == "" {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}
