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

// step is a command of the README and what is printed there under it.
type step struct{ command, output string }

// consoleBlocks returns the commands of all console blocks: the lines that start
// with "$ ".
func consoleBlocks(readme string) (steps []step) {
	in := false
	for line := range strings.Lines(readme) {
		switch {
		case !in:
			in = line == "```console\n"
		case line == "```\n":
			in = false
		case strings.HasPrefix(line, "$ "):
			steps = append(steps, step{command: strings.TrimPrefix(line, "$ ")})
		case len(steps) > 0:
			steps[len(steps)-1].output += line
		}
	}
	return steps
}

// freePort is a port on which nothing listens now.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

var (
	dates = regexp.MustCompile(`(?m)^Date: .*$`)
	times = regexp.MustCompile(`"time":"[^"]*"`)
)

// normal leaves out what is another on each run, and the line ends of HTTP.
func normal(output string) string {
	output = strings.ReplaceAll(output, "\r\n", "\n")
	return times.ReplaceAllString(dates.ReplaceAllString(output, "Date: …"), `"time":"…"`)
}

// The README is run as a reader would, from its first command to its last in one
// shell at the root of the repository, and prints what it says.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	steps := consoleBlocks(string(readme))
	if len(steps) == 0 {
		t.Fatal("no commands found")
	}
	const separator = "\x1e"
	// Nothing that was started is left, however it ends.
	script := "trap 'kill -9 $server $naive 2>/dev/null' EXIT; trap 'exit 1' TERM\n"
	for _, s := range steps {
		script += fmt.Sprintf("%sprintf '\\036'\n", s.command)
	}
	var ours, theirs []string
	for _, port := range []string{"5005", "5015"} {
		free := freePort(t)
		ours, theirs = append(ours, "127.0.0.1:"+port, "127.0.0.1:"+free), append(theirs, "127.0.0.1:"+free, "127.0.0.1:"+port)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, "sh", "-c", strings.NewReplacer(ours...).Replace(script))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GOWORK=", "TMPDIR="+t.TempDir(), "NO_PROXY=*", "no_proxy=*")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the last command: %v", err)
	}
	outputs := strings.Split(strings.NewReplacer(theirs...).Replace(string(out)), separator)
	if len(outputs) != len(steps)+1 {
		t.Fatalf("the shell ended early: %s", out)
	}
	for i, s := range steps {
		if normal(outputs[i]) != normal(s.output) {
			t.Errorf("$ %sprints\n%swant\n%s", s.command, outputs[i], s.output)
		}
	}
}
