// Package cli is the command line of shibafu: one file a command.
//
// Reading order: cli.go, table.go (what there is), flags.go, advice.go (what to do
// about an error), client.go (what the commands for images share), registry.go (what those
// share that look after a registry); then any command.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"shibafu.dev/step6-client/cmdline"

	"shibafu.dev/shibafu/internal/container"
)

// errUsage says that the command line is wrong; what is wrong with it has been
// printed.
var errUsage = fmt.Errorf("%w was printed", cmdline.ErrUsage)

// errFaults says that a check found what it looked for; it has been printed.
var errFaults = errors.New("faults were found")

// Streams are what a command reads and writes. Results go to Out, all else to Err.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Run runs the command that args name and returns the exit code: 0 for success, 1 for
// failure, 2 for a wrong command line, 3 for no such image, 4 for a registry that does
// not let us.
func Run(ctx context.Context, args []string, s Streams) int {
	if len(args) == 0 {
		usage(s.Err)
		return cmdline.ExitUsage
	}
	if args[0] == "help" && len(args) > 1 {
		args = append(slices.Clone(args[1:]), "--help")
	}
	if slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
		usage(s.Out)
		return cmdline.ExitOK
	}
	if args[0] == completeName {
		return complete(ctx, args[1:], s)
	}
	if args[0] == "--version" || args[0] == "-version" {
		args = []string{"version"}
	}
	c, args, found := find(args)
	if !found {
		fmt.Fprintf(s.Err, "shibafu: no such command: %s\n\n", safe(strings.Join(args[:min(2, len(args))], " ")))
		usage(s.Err)
		return cmdline.ExitUsage
	}
	err := c.run(ctx, args, s)
	var end ended
	switch {
	case errors.As(err, &end) && end.err == nil:
		return end.code
	case err == nil, errors.Is(err, flag.ErrHelp), errors.Is(err, errUsage), errors.Is(err, errFaults), errors.Is(err, errNo):
	default:
		text := err.Error()
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			text = "interrupted" // whatever it was doing
		}
		fmt.Fprintf(s.Err, "shibafu %s: %s\n", c.name, safe(text))
		if advice := advise(err, c); advice != "" {
			fmt.Fprintln(s.Err, advice)
		}
	}
	return c.exitCode(err)
}

// exitCode is what c ends with. The usual codes are not for a command that passes on
// those of others.
func (c command) exitCode(err error) int {
	var end ended
	code := cmdline.ExitCode(err)
	switch {
	case errors.As(err, &end):
		return end.code
	case c.foreign && code != cmdline.ExitOK:
		return container.CodeFailed
	}
	return code
}

// run parses the flags and arguments of c, and does it.
func (c command) run(ctx context.Context, args []string, s Streams) error {
	fs := newFlags(c.name, s.Err)
	do := c.define(fs)
	args, err := c.parse(fs, args, s.Out)
	if err != nil {
		return err
	}
	return do(ctx, args, s)
}

// find returns the first command that is named in args, and the other args: flags
// may stand before a command's name and after it.
func find(args []string) (c command, rest []string, found bool) {
	for i := range args {
		for _, c := range commands() {
			words := strings.Fields(c.name)
			if len(args)-i >= len(words) && slices.Equal(args[i:i+len(words)], words) {
				return c, slices.Concat(args[:i], args[i+len(words):]), true
			}
		}
	}
	return command{}, args, false
}

// usage lists the commands, in their groups.
func usage(w io.Writer) {
	fmt.Fprint(w, "shibafu is an OCI registry, a client of registries, and a runner of containers.\n")
	group := ""
	for _, c := range commands() {
		if c.group == "" {
			continue
		}
		if c.group != group {
			group = c.group
			fmt.Fprintf(w, "\n%s:\n", group)
		}
		fmt.Fprintf(w, "  shibafu %-40s  %s\n", c.name+" "+c.args, c.what)
	}
	fmt.Fprint(w, "\nEach explains itself with --help. Exit codes: 0 success, 1 failure, 2 wrong command line,\n"+
		"3 no such image, repository or platform, 4 the registry does not let us.\n")
}

// safe is a text without what a terminal would obey: names come from anywhere.
func safe(text string) string {
	text = strings.ReplaceAll(text, "\n", "; ") // several errors
	return strings.Map(printable, text)
}
