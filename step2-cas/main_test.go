package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket/dir"
)

const content = "test content\n"

var (
	sum    = digest.FromBytes([]byte(content))
	sum512 = digest.SHA512.FromBytes([]byte(content))
)

// call runs the program over root and wants its exit code.
func call(t *testing.T, root, stdin string, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	got := run(append([]string{"--root", root}, args...), strings.NewReader(stdin), &out, &errs)
	if got != code {
		t.Fatalf("%q exits with %d, want %d; it says %q", args, got, code, errs.String())
	}
	return out.String(), errs.String()
}

// want wants that a call prints exactly that, and nothing else.
func want(t *testing.T, root, stdin, stdout string, args ...string) {
	t.Helper()
	if out, errs := call(t, root, stdin, exitOK, args...); out != stdout || errs != "" {
		t.Errorf("%q prints %q, and says %q; want %q", args, out, errs, stdout)
	}
}

// wantFailure wants exit code 1, and a message that holds these words.
func wantFailure(t *testing.T, root, words string, args ...string) {
	t.Helper()
	if _, errs := call(t, root, "", exitFailed, args...); !strings.Contains(errs, words) {
		t.Errorf("%q says %q, want %q in it", args, errs, words)
	}
}

// damage flips a bit of the file of d.
func damage(t *testing.T, root string, d digest.Digest) {
	t.Helper()
	file := filepath.Join(root, layout.Key(d))
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[0] ^= 1
	if err := errors.Join(os.Chmod(file, 0o644), os.WriteFile(file, data, 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestCommands(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("from a file"), 0o644); err != nil {
		t.Fatal(err)
	}
	fileSum := digest.FromBytes([]byte("from a file"))

	want(t, root, content, sum.String()+"\n", "put")
	want(t, root, content, sum.String()+"\n", "put", "-")
	want(t, root, content, sum512.String()+"\n", "put", "--algorithm", "sha512")
	want(t, root, "", fileSum.String()+"\n", "put", "--algorithm=sha256", file)
	want(t, root, "", content, "get", sum.String())
	want(t, root, "", content, "get", sum512.String())
	want(t, root, "", fileSum.String()+"\n"+sum.String()+"\n"+sum512.String()+"\n", "ls")
	want(t, root, "", "3 checked, 0 damaged\n", "verify")

	out, _ := call(t, root, "", exitOK, "stat", sum.String())
	lines := strings.Split(out, "\n")
	if len(lines) != 5 || lines[0] != "digest  "+sum.String() || lines[1] != "size    13" ||
		lines[2] != "file    "+filepath.Join(root, layout.Key(sum)) || !strings.HasPrefix(lines[3], "kept    2") {
		t.Errorf("stat prints %q", out)
	}

	want(t, root, "", "", "rm", sum.String())
	for _, command := range []string{"get", "stat", "rm"} {
		wantFailure(t, root, sum.String()+" is not in the store", command, sum.String())
	}
	want(t, root, "", "2 checked, 0 damaged\n", "verify")
}

func TestDamage(t *testing.T) {
	root := t.TempDir()
	want(t, root, content, sum.String()+"\n", "put")
	want(t, root, "other", digest.FromBytes([]byte("other")).String()+"\n", "put")
	damage(t, root, sum)

	wantFailure(t, root, sum.String()+" is damaged", "get", sum.String())
	out, errs := call(t, root, "", exitFailed, "verify")
	if out != sum.String()+" is damaged\n2 checked, 1 damaged\n" || errs != "" {
		t.Errorf("verify prints %q and says %q", out, errs)
	}

	want(t, root, content, sum.String()+"\n", "put") // heals it
	want(t, root, "", content, "get", sum.String())
	want(t, root, "", "2 checked, 0 damaged\n", "verify")
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		why  string
	}{
		{"nothing", nil, "no command"},
		{"unknown command", []string{"push"}, `no such command: "push"`},
		{"unknown flag", []string{"put", "--digest"}, "flag provided but not defined: -digest"},
		{"another command's flag", []string{"ls", "--algorithm", "sha512"}, "flag provided but not defined: -algorithm"},
		{"unknown algorithm", []string{"put", "--algorithm", "md5"}, "unsupported algorithm"},
		{"two files", []string{"put", "a", "b"}, "put takes one file"},
		{"no digest", []string{"get"}, "takes one digest"},
		{"two digests", []string{"rm", sum.String(), sum.String()}, "takes one digest"},
		{"not a digest", []string{"stat", "../../etc/passwd"}, "invalid digest"},
		{"an argument too many", []string{"ls", "all"}, "ls takes no argument"},
		{"an argument too many", []string{"verify", sum.String()}, "verify takes no argument"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "store")
			out, errs := call(t, root, "", exitUsage, tt.args...)
			if out != "" || !strings.Contains(errs, tt.why) || !strings.HasSuffix(errs, usage) {
				t.Errorf("it prints %q and says %q, want %q", out, errs, tt.why)
			}
			if _, err := os.Lstat(root); err == nil {
				t.Error("it made a store")
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for _, arg := range []string{"help", "-h", "--help"} {
		want(t, t.TempDir(), "", usage, arg)
	}
	want(t, t.TempDir(), "", usage, "put", "--help")
}

func TestRoot(t *testing.T) {
	home := t.TempDir()
	put := func(file string, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := run(append(args, "put"), strings.NewReader(content), &out, &errs); code != exitOK {
			t.Fatalf("exit code %d: %s", code, &errs)
		}
		if _, err := os.Stat(filepath.Join(home, file, layout.Key(sum))); err != nil {
			t.Error(err)
		}
	}
	t.Setenv("SHIBAFU_CAS_ROOT", "")
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("HOME", home)
	put(".local/share/shibafu/cas")
	t.Setenv("XDG_DATA_HOME", filepath.Join(home, "data"))
	put("data/shibafu/cas")
	t.Setenv("SHIBAFU_CAS_ROOT", filepath.Join(home, "environment"))
	put("environment")
	put("flag", "--root", filepath.Join(home, "flag"))
}

func TestNoStore(t *testing.T) {
	root := filepath.Join(t.TempDir(), "none")
	for _, args := range [][]string{{"ls"}, {"verify"}, {"get", sum.String()}, {"stat", sum.String()}} {
		wantFailure(t, root, "there is no store in "+root, args...)
	}
}

// While one process writes, another cannot write, and can read.
func TestTwoProcesses(t *testing.T) {
	root := t.TempDir()
	want(t, root, content, sum.String()+"\n", "put")
	b, err := dir.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	wantFailure(t, root, "another process writes to this folder", "put", os.DevNull)
	wantFailure(t, root, "another process writes to this folder", "rm", sum.String())
	want(t, root, "", content, "get", sum.String())
	want(t, root, "", sum.String()+"\n", "ls")
	want(t, root, "", "1 checked, 0 damaged\n", "verify")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, root, "", "", "rm", sum.String())
}

func TestPutOfWhatCannotBeRead(t *testing.T) {
	root := t.TempDir()
	wantFailure(t, root, "no such file", "put", filepath.Join(root, "none"))
	var out, errs bytes.Buffer
	if code := run([]string{"--root", root, "put"}, iotest.ErrReader(errors.New("cable pulled")), &out, &errs); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if out.Len() > 0 || !strings.Contains(errs.String(), "cable pulled") {
		t.Errorf("it prints %q and says %q", &out, &errs)
	}
	want(t, root, "", "", "ls")
}

// The bytes of a put that died are freed by the next one.
func TestUnfinishedIsForgotten(t *testing.T) {
	root := t.TempDir()
	want(t, root, content, sum.String()+"\n", "put")
	dead := filepath.Join(root, "uploads", "dead.data")
	if err := os.WriteFile(dead, []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	want(t, root, content, sum.String()+"\n", "put")
	if _, err := os.Lstat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("they are there: %v", err)
	}
}
