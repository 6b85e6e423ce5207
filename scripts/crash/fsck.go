package main

import (
	"context"
	"errors"
	"os/exec"
	"regexp"
	"strings"
)

// faultLine is a line of "registry fsck" about something in a repository.
var faultLine = regexp.MustCompile(`^(\S+): (blob|manifest|tag|referrer) (\S+): (.*)$`)

// fsck runs the program's own check on the store, and returns its lines but for
// the last, which is a summary.
func fsck(ctx context.Context, c config, root string, flags ...string) (lines []string, clean bool, err error) {
	args := append([]string{"registry", "fsck", "--root", root}, flags...)
	out, err := exec.CommandContext(ctx, c.server, args...).Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, false, err
	}
	lines = strings.Split(strings.TrimSpace(string(out)), "\n")
	if last := lines[len(lines)-1]; !strings.HasSuffix(last, "faults") {
		return nil, false, errors.New("fsck did not come to an end: " + string(exit.Stderr))
	}
	return lines[:len(lines)-1], err == nil, nil
}

// excused tells whether a fault is what a crash may leave: half of a change that
// nobody acknowledged, to a thing that nobody has written to since. Such a link
// leads nowhere and is served as absent; the next push, or a repair, mends it.
// Damaged bytes are never excused, nor is a manifest that refers to what is not
// there. problem is the fault without names.
func excused(m *model, line string) (problem string, ok bool) {
	part := faultLine.FindStringSubmatch(line)
	if part == nil {
		return line, false
	}
	repo, kind, name, problem := part[1], part[2], part[3], part[4]
	if strings.HasPrefix(problem, "refers to ") {
		return problem, false
	}
	t := thing{kind, repo, name}
	if kind == "referrer" {
		t.kind = "manifest"
	}
	return kind + ": " + problem, m.wasCut(t)
}
