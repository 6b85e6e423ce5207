package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// command is a line of the README that starts with "$ ", and what is printed there
// under it.
type command struct{ line, output string }

// console returns the commands of all console blocks but those for other programs,
// which are marked "interop".
func console(readme string) (all []command) {
	in := false
	for line := range strings.Lines(readme) {
		switch {
		case !in:
			in = line == "```console\n"
		case line == "```\n":
			in = false
		case strings.HasPrefix(line, "$ "):
			all = append(all, command{line: strings.TrimPrefix(line, "$ ")})
		case len(all) > 0:
			all[len(all)-1].output += line
		}
	}
	return all
}

// movePorts gives each port of the README one on which nothing listens now, and
// returns both ways between them.
func movePorts(t *testing.T, ports ...string) (there, back *strings.Replacer) {
	t.Helper()
	var ours, theirs []string
	for _, port := range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		ours = append(ours, "127.0.0.1:"+port, ln.Addr().String())
		theirs = append(theirs, ln.Addr().String(), "127.0.0.1:"+port)
	}
	return strings.NewReplacer(ours...), strings.NewReplacer(theirs...)
}

var dates = regexp.MustCompile(`(?m)^Date: .*$`)

// normal leaves out what is another on each run, and the line ends of HTTP.
func normal(output string) string {
	return dates.ReplaceAllString(strings.ReplaceAll(output, "\r\n", "\n"), "Date: …")
}

// The README is run as a reader would, from its first command to its last in one
// shell at the root of the repository, and prints what it says.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := console(string(readme))
	if len(commands) < 20 {
		t.Fatalf("only %d commands found", len(commands))
	}
	const separator = "\x1e"
	// Nothing that was started is left, however it ends.
	script := "trap 'kill -9 $server $naive 2>/dev/null' EXIT; trap 'exit 1' TERM\n"
	for _, c := range commands {
		script += fmt.Sprintf("%sprintf '\\036'\n", c.line)
	}
	there, back := movePorts(t, "5003", "5013")
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, "sh", "-c", there.Replace(script))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GOWORK=", "TMPDIR="+t.TempDir(), "NO_PROXY=*", "no_proxy=*")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the last command: %v", err)
	}
	outputs := strings.Split(back.Replace(string(out)), separator)
	if len(outputs) != len(commands)+1 {
		t.Fatalf("the shell ended early: %s", out)
	}
	for i, c := range commands {
		if got, want := normal(outputs[i]), normal(c.output); got != want {
			t.Errorf("$ %sprints\n%s\nwant\n%s", c.line, got, want)
		}
	}
}
