// Step 6 is the other side: a program that pulls images from registries into a store
// of its own, pushes them from there, and copies them between registries, folders and
// files.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/journal"
	"shibafu.dev/step6-client/layout"
	"shibafu.dev/step6-client/transfer"
)

const usage = `usage: step6-client COMMAND [flags] ARGUMENT...

  pull REFERENCE          from a registry into the local store
  push REFERENCE          from the local store to a registry
  copy SOURCE TARGET      from anywhere to anywhere:
                            REFERENCE or docker://REFERENCE   a registry
                            oci:FOLDER[:NAME]                 an OCI image layout
                            docker-archive:FILE[:NAME]        a file of "docker save"; - for stdin, stdout
  tags REPOSITORY         lists the tags
  digest REFERENCE        says what a tag leads to

flags, before or after the arguments:
`

// What the program exits with.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitUnknown = 3 // no such image, repository, or platform
	exitDenied  = 4 // the registry does not let us
)

// errUsage is for what was not said rightly; the usage is printed with it.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "step6-client:", err)
	}
	os.Exit(exitCode(err))
}

type streams struct {
	in       io.Reader
	out, err io.Writer
}

// options are what the flags say.
type options struct {
	store      string
	plainHTTP  bool
	ca         string
	skipVerify bool
	platform   string
	referrers  bool
	parallel   int
}

// command is what the first argument names.
type command struct {
	args int
	run  func(p *program, ctx context.Context, args []string) error
}

var commands = map[string]command{
	"pull":   {1, (*program).pull},
	"push":   {1, (*program).push},
	"copy":   {2, (*program).copy},
	"tags":   {1, (*program).tags},
	"digest": {1, (*program).digest},
}

// program is one call of it.
type program struct {
	options
	streams
	report *report
}

func run(ctx context.Context, args []string, s streams) error {
	p := &program{streams: s, report: &report{out: s.err}}
	flags, err := p.flags()
	if err != nil {
		return err
	}
	args, err = parse(flags, args)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		flags.Usage()
		return errUsage
	}
	c, ok := commands[args[0]]
	if !ok || len(args)-1 != c.args {
		flags.Usage()
		return fmt.Errorf("%w: %s", errUsage, strings.Join(args, " "))
	}
	return c.run(p, ctx, args[1:])
}

func (p *program) flags() (*flag.FlagSet, error) {
	kept, err := journal.DefaultFolder()
	if err != nil {
		return nil, err
	}
	flags := flag.NewFlagSet("step6-client", flag.ContinueOnError)
	flags.SetOutput(p.err)
	flags.Usage = func() {
		fmt.Fprint(p.err, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&p.store, "store", filepath.Join(filepath.Dir(kept), "images"), "`folder` of the local store")
	flags.BoolVar(&p.plainHTTP, "plain-http", false, "speak http to registries; to those on this machine it is so unless a certificate is spoken of")
	flags.StringVar(&p.ca, "ca", "", "PEM `file` of certificates to trust besides the system's")
	flags.BoolVar(&p.skipVerify, "insecure-skip-verify", false, "take any certificate")
	flags.StringVar(&p.platform, "platform", "", "`os/architecture[/variant]` of the image to take, or all; pull takes this machine's unless told")
	flags.BoolVar(&p.referrers, "referrers", false, "take along signatures and what else refers to the image")
	flags.IntVar(&p.parallel, "parallel", transfer.DefaultParallel, "how many blobs are under way at once")
	return flags, nil
}

// parse reads flags wherever they stand, up to "--", and returns the rest.
func parse(flags *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			if !errors.Is(err, flag.ErrHelp) {
				err = fmt.Errorf("%w: %w", errUsage, err)
			}
			return nil, err
		}
		left := flags.Args()
		if len(left) == 0 {
			return rest, nil
		}
		if ended := len(args) - len(left); ended > 0 && args[ended-1] == "--" {
			return append(rest, left...), nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

// exitCode is what err ends the program with.
func exitCode(err error) int {
	for _, code := range []struct {
		of   error
		code int
	}{
		{flag.ErrHelp, exitOK},
		{errUsage, exitUsage},
		{ref.ErrReference, exitUsage},
		{layout.ErrName, exitUsage},
		{ocierr.Unauthorized, exitDenied},
		{ocierr.Denied, exitDenied},
		{ocierr.ManifestUnknown, exitUnknown},
		{ocierr.NameUnknown, exitUnknown},
		{layout.ErrUnknown, exitUnknown},
		{transfer.ErrPlatform, exitUnknown},
	} {
		if errors.Is(err, code.of) {
			return code.code
		}
	}
	if err != nil {
		return exitFailed
	}
	return exitOK
}

// transferOptions are those for a copy; fallback is the platform where none was said.
func (p *program) transferOptions(fallback string) (transfer.Options, error) {
	opts := transfer.Options{Referrers: p.referrers, Parallel: p.parallel, Progress: p.report.event}
	platform := p.platform
	if platform == "" {
		platform = fallback
	}
	if platform == "all" {
		return opts, nil
	}
	parsed, err := oci.ParsePlatform(platform)
	if err != nil {
		return opts, fmt.Errorf("%w: %w", errUsage, err)
	}
	opts.Platform = &parsed
	return opts, nil
}

// show prints what was copied, for programs.
func (p *program) show(name string, d digest.Digest) error {
	_, err := fmt.Fprintf(p.out, "%s %s\n", name, d)
	return err
}
