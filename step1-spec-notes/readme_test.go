package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the commands print into the README")

var (
	consoleBlock = regexp.MustCompile("(?ms)^```console\n(.*?)^```$")
	goBlock      = regexp.MustCompile("(?ms)^```go\n(func [A-Za-z_]+.*?)^```$")
	tableBlock   = regexp.MustCompile("(?ms)^<!-- (endpoints --markdown) -->\n(.*?)^<!-- end -->$")
)

// Every console block of the README is what its commands print, every Go block is
// a function of naive_test.go, and the table is the program's.
// "go test . -update" mends what is out of date.
func TestREADME(t *testing.T) {
	naive := readFile(t, "naive_test.go")
	t.Chdir("..") // commands are given from the root of the repository
	const name = "step1-spec-notes/README.md"
	text := readFile(t, name)
	commands := 0
	want := replace(consoleBlock, text, func(block []string) string {
		var b strings.Builder
		for line := range strings.Lines(block[1]) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				commands++
				b.WriteString(line + shell(t, strings.TrimSpace(command)))
			}
		}
		return "```console\n" + b.String() + "```"
	})
	want = replace(goBlock, want, func(block []string) string {
		head, _, _ := strings.Cut(block[1], "\n")
		_, after, found := strings.Cut(naive, head+"\n")
		body, _, _ := strings.Cut(after, "\n}\n")
		if !found {
			t.Errorf("no function %q", head)
		}
		return "```go\n" + head + "\n" + body + "\n}\n```"
	})
	want = replace(tableBlock, want, func(block []string) string {
		out, _, _ := exec("", strings.Fields(block[1])...)
		return "<!-- " + block[1] + " -->\n" + out + "<!-- end -->"
	})
	if commands < 10 {
		t.Errorf("only %d commands found", commands)
	}
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if text != want {
		t.Errorf("the README is out of date at:\n%s", difference(text, want))
	}
}

func replace(re *regexp.Regexp, text string, by func(groups []string) string) string {
	return re.ReplaceAllStringFunc(text, func(match string) string {
		return by(re.FindStringSubmatch(match))
	})
}

// difference is the first line in which the two differ, both ways.
func difference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d: %s\nshould be: %s", i+1, a[i], b[i])
		}
	}
	return "the end"
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// shell runs a command of the README: this program, alone or fed by echo, or
// sha256sum. It returns what a terminal would show.
func shell(t *testing.T, command string) string {
	t.Helper()
	stdin := ""
	if feed, rest, found := strings.Cut(command, " | "); found {
		words := words(feed)
		if len(words) != 2 || words[0] != "echo" {
			t.Fatalf("cannot run %q", feed)
		}
		stdin, command = words[1]+"\n", rest
	}
	switch words := words(command); {
	case len(words) == 2 && words[0] == "sha256sum":
		return fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(readFile(t, words[1]))), words[1])
	case len(words) > 3 && strings.Join(words[:3], " ") == "go run ./step1-spec-notes":
		stdout, stderr, code := exec(stdin, words[3:]...)
		if code != exitOK {
			stderr += fmt.Sprintf("exit status %d\n", code) // go run's own line
		}
		return stdout + stderr
	}
	t.Fatalf("cannot run %q", command)
	return ""
}

var word = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)

// words splits a command as a shell does, as far as the README needs it.
func words(command string) []string {
	all := word.FindAllString(command, -1)
	for i, w := range all {
		if w[0] == '\'' || w[0] == '"' {
			all[i] = w[1 : len(w)-1]
		}
	}
	return all
}
