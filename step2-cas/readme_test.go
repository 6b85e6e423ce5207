package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
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
	var script strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&script, "%sprintf '\\036'\n", s.command)
	}
	cmd := exec.Command("sh", "-c", script.String())
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GOWORK=", "SHIBAFU_CAS_ROOT=",
		"TMPDIR="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the last command: %v", err)
	}
	outputs := strings.Split(string(out), separator)
	if len(outputs) != len(steps)+1 {
		t.Fatalf("the shell ended early: %s", out)
	}
	for i, s := range steps {
		if outputs[i] != s.output {
			t.Errorf("$ %sprints\n%swant\n%s", s.command, outputs[i], s.output)
		}
	}
}
