// Package cli is the command line of shibafu: one file a command.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errUsage says that the command line is wrong; what is wrong with it has been
// printed.
var errUsage = errors.New("usage")

// errFaults says that a check found what it looked for; it has been printed.
var errFaults = errors.New("faults were found")

// command is one subcommand.
type command struct {
	// name is all its words: "registry serve".
	name string
	// args is what follows the name in a usage line.
	args string
	// what it does, in one line.
	what string
	run  func(ctx context.Context, args []string, stdout, stderr io.Writer) error
}

var commands = []command{
	{"registry serve", "[flags]", "serve a registry", serve},
	{"registry fsck", "[--root DIR] [--repair]", "check a registry's store, and mend it", fsck},
}

// Run runs the command that args name and returns the exit code: 0 for success, 1
// for failure, 2 for a wrong command line.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stderr)
		return exitUsage
	}
	if slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
		usage(stdout)
		return exitOK
	}
	for _, c := range commands {
		words := strings.Fields(c.name)
		if len(args) < len(words) || !slices.Equal(args[:len(words)], words) {
			continue
		}
		switch err := c.run(ctx, args[len(words):], stdout, stderr); {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return exitOK
		case errors.Is(err, errUsage):
			return exitUsage
		case errors.Is(err, errFaults):
			return exitFailed
		default:
			fmt.Fprintf(stderr, "shibafu %s: %v\n", c.name, err)
			return exitFailed
		}
	}
	fmt.Fprintf(stderr, "shibafu: no such command: %s\n\n", strings.Join(args[:min(2, len(args))], " "))
	usage(stderr)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprint(w, "shibafu is an OCI registry.\n\nCommands:\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  shibafu %-40s  %s\n", c.name+" "+c.args, c.what)
	}
	fmt.Fprint(w, "\nEach explains itself with --help. Exit codes: 0 success, 1 failure, 2 wrong command line.\n")
}

// newFlags starts the flags of a command. What is wrong with a command line goes
// to stderr.
func newFlags(name string, stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("shibafu "+name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	return fs
}

// parse parses flags of a command that takes no other arguments.
func parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(fs.Output(), "%s: unexpected argument %q\n", fs.Name(), fs.Arg(0))
		return errUsage
	}
	return nil
}
