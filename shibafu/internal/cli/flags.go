package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"unicode"

	"shibafu.dev/step6-client/cmdline"
)

// newFlags starts the flags of a command. What is wrong with a command line goes
// to stderr.
func newFlags(name string, stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("shibafu "+name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {} // parse prints what is of use
	return fs
}

// parse sets the flags and returns the other arguments, as many as c takes. Who asks
// for help gets it on stdout.
func (c command) parse(fs *flag.FlagSet, args []string, stdout io.Writer) ([]string, error) {
	most := -1
	if c.foreign {
		most = 1
	}
	rest, err := cmdline.Parse(fs, args, most)
	switch {
	case errors.Is(err, flag.ErrHelp):
		c.help(fs, stdout)
		return nil, err
	case err != nil: // it was printed
	case c.most >= 0 && len(rest) > c.most:
		err = errUsage
		fmt.Fprintf(fs.Output(), "unexpected argument: %s\n", safe(rest[c.most]))
	case len(rest) < c.least:
		err = errUsage
		fmt.Fprintf(fs.Output(), "missing: %s\n", strings.Join(strings.Fields(c.args)[len(rest):], " "))
	}
	if err != nil {
		fmt.Fprintf(fs.Output(), "%s --help lists the flags.\n", fs.Name())
		return nil, errUsage
	}
	return rest, nil
}

// help prints all that there is to say about c.
func (c command) help(fs *flag.FlagSet, stdout io.Writer) {
	fmt.Fprintf(stdout, "Usage: %s\n\n%s\n\n", strings.TrimSpace(fs.Name()+" [flags] "+c.args), c.what)
	fs.SetOutput(stdout)
	fs.PrintDefaults()
	fmt.Fprint(stdout, c.more)
}

// printable is r, or what stands for it where a terminal might obey it.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}
