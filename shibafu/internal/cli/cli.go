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
	c, args, found := find(args)
	if !found {
		fmt.Fprintf(stderr, "shibafu: no such command: %s\n\n", strings.Join(args[:min(2, len(args))], " "))
		usage(stderr)
		return exitUsage
	}
	switch err := c.run(ctx, args, stdout, stderr); {
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

// find returns the first command that is named in args, and the other args: flags
// may stand before a command's name and after it.
func find(args []string) (c command, rest []string, found bool) {
	for i := range args {
		for _, c := range commands {
			words := strings.Fields(c.name)
			if len(args)-i >= len(words) && slices.Equal(args[i:i+len(words)], words) {
				return c, slices.Concat(args[:i], args[i+len(words):]), true
			}
		}
	}
	return command{}, args, false
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
	fs.Usage = func() {} // parse prints what is of use
	return fs
}

// parse parses flags of a command that takes no other arguments. Who asks for help
// gets it on stdout.
func parse(fs *flag.FlagSet, args []string, stdout io.Writer) error {
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		help(fs, stdout)
		return err
	}
	if err == nil && fs.NArg() > 0 {
		err = errUsage
		fmt.Fprintf(fs.Output(), "unexpected argument: %s\n", fs.Arg(0))
	}
	if err != nil {
		fmt.Fprintf(fs.Output(), "%s --help lists the flags.\n", fs.Name())
		return errUsage
	}
	return nil
}

func help(fs *flag.FlagSet, stdout io.Writer) {
	fmt.Fprintf(stdout, "Usage: %s [flags]\n\n", fs.Name())
	fs.SetOutput(stdout)
	fs.PrintDefaults()
	fmt.Fprint(stdout, "\nA setting is also an environment variable (--log-level is SHIBAFU_LOG_LEVEL) and a field\n"+
		"of the file that --config names; --print-config prints such a file. A flag counts more\n"+
		"than the environment, and that more than the file.\n")
}
