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
	"strings"
	"syscall"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/cmdline"
	"shibafu.dev/step6-client/place"
	"shibafu.dev/step6-client/report"
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

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "step6-client:", err)
	}
	os.Exit(cmdline.ExitCode(err))
}

type streams struct {
	in       io.Reader
	out, err io.Writer
}

// options are what the flags say.
type options struct {
	store     string
	access    place.Access
	platform  string
	referrers bool
	parallel  int
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
	report *report.Lines
}

func run(ctx context.Context, args []string, s streams) error {
	p := &program{streams: s, report: report.NewLines(s.err)}
	flags, err := p.flags()
	if err != nil {
		return err
	}
	args, err = cmdline.Parse(flags, args, -1)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		flags.Usage()
		return cmdline.ErrUsage
	}
	c, ok := commands[args[0]]
	if !ok || len(args)-1 != c.args {
		flags.Usage()
		return fmt.Errorf("%w: %s", cmdline.ErrUsage, strings.Join(args, " "))
	}
	return c.run(p, ctx, args[1:])
}

func (p *program) flags() (*flag.FlagSet, error) {
	store, err := place.DefaultStore()
	if err != nil {
		return nil, err
	}
	flags := flag.NewFlagSet("step6-client", flag.ContinueOnError)
	flags.SetOutput(p.err)
	flags.Usage = func() {
		fmt.Fprint(p.err, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&p.store, "store", store, "`folder` of the local store")
	p.access.Flags(flags)
	flags.StringVar(&p.platform, "platform", "", "`os/architecture[/variant]` of the image to take, or all; pull takes this machine's unless told")
	flags.BoolVar(&p.referrers, "referrers", false, "take along signatures and what else refers to the image")
	flags.IntVar(&p.parallel, "parallel", transfer.DefaultParallel, "how many blobs are under way at once")
	return flags, nil
}

// transferOptions are those for a copy; fallback is the platform where none was said.
func (p *program) transferOptions(fallback string) (transfer.Options, error) {
	opts := transfer.Options{Referrers: p.referrers, Parallel: p.parallel, Progress: p.report.Event}
	platform := p.platform
	if platform == "" {
		platform = fallback
	}
	if platform == "all" {
		return opts, nil
	}
	parsed, err := oci.ParsePlatform(platform)
	if err != nil {
		return opts, fmt.Errorf("%w: %w", cmdline.ErrUsage, err)
	}
	opts.Platform = &parsed
	return opts, nil
}

// places are what the arguments name.
func (p *program) places() place.Places {
	return place.Places{Access: p.access, In: p.in, Out: p.out, Waiting: p.report.Waiting}
}

// show prints what was copied, for programs.
func (p *program) show(name string, d digest.Digest) error {
	_, err := fmt.Fprintf(p.out, "%s %s\n", name, d)
	return err
}
