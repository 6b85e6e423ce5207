// Package guidetest runs the console blocks of a step's README, or of another guide, so
// that it cannot say what is not so. A step's own test is
//
//	guidetest.Run(t, guidetest.Guide{Commands: 20, Ports: []string{"5003"}})
package guidetest

import (
	"cmp"
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

// Guide says what is particular to a README.
type Guide struct {
	// File is where it is; "" is README.md.
	File string
	// Commands is how many there are at least: fewer, and they were not found.
	Commands int
	// Ports of 127.0.0.1, or localhost, that it uses; others, on which nothing listens, stand in
	// for them.
	Ports []string
	// Varies matches what is another on each run, besides dates.
	Varies []string
	// Env is added to the environment.
	Env []string
}

// command is a line that starts with "$ ", and what is printed there under it.
type command struct{ line, output string }

// commands returns those of all console blocks, but for the blocks that are marked
// "interop": they need programs that are not everywhere.
func commands(readme string) (all []command) {
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

// movePorts returns both ways between the ports of a README and free ones.
func movePorts(t *testing.T, ports []string) (there, back *strings.Replacer) {
	t.Helper()
	var ours, theirs []string
	for _, port := range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		_, free, _ := net.SplitHostPort(ln.Addr().String())
		for _, host := range []string{"127.0.0.1:", "localhost:", "--port "} {
			ours = append(ours, host+port, host+free)
			theirs = append(theirs, host+free, host+port)
		}
	}
	return strings.NewReplacer(ours...), strings.NewReplacer(theirs...)
}

// Run runs a guide, the README.md of the package that is being tested unless told: as a
// reader would, from the first command to the last, in one shell at the root of
// the repository. Each must print what the README says.
func Run(t *testing.T, g Guide) {
	t.Helper()
	readme, err := os.ReadFile(cmp.Or(g.File, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := commands(string(readme))
	if len(all) < g.Commands {
		t.Fatalf("only %d commands found", len(all))
	}
	// Nothing that was started is left, however it ends.
	script := "trap 'kill -9 $server $naive 2>/dev/null' EXIT; trap 'exit 1' TERM\n"
	for _, c := range all {
		script += fmt.Sprintf("%sprintf '\\036'\n", c.line)
	}
	there, back := movePorts(t, g.Ports)
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, "sh", "-c", there.Replace(script))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GOWORK=", "TMPDIR="+t.TempDir(), "NO_PROXY=*", "no_proxy=*")
	cmd.Env = append(cmd.Env, g.Env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the last command: %v", err)
	}
	outputs := strings.Split(back.Replace(string(out)), "\x1e")
	if len(outputs) != len(all)+1 {
		t.Fatalf("the shell ended early: %s", out)
	}
	for i, c := range all {
		if got, want := g.normal(outputs[i]), g.normal(c.output); got != want {
			t.Errorf("$ %sprints\n%s\nwant\n%s", c.line, got, want)
		}
	}
}

// normal leaves out what is another on each run, and the line ends of HTTP.
func (g Guide) normal(output string) string {
	output = strings.ReplaceAll(output, "\r\n", "\n")
	for _, varies := range append([]string{`(?m)^Date: .*$`}, g.Varies...) {
		output = regexp.MustCompile(varies).ReplaceAllString(output, "…")
	}
	return output
}
