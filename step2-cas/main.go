// Step2-cas keeps bytes under their digests, in a folder.
//
// Reading order: main.go, commands.go; then the packages bucket, bucket/mem, bucket/dir, cas.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/cas"
)

const usage = `Usage: step2-cas [--root DIR] COMMAND

  put [--algorithm sha256|sha512] [FILE|-]  keep what is read, print its digest
  get DIGEST                                print what was kept, checked on the way
  stat DIGEST                               its size, its file, when it was kept
  ls                                        the digests of all that is kept
  rm DIGEST                                 keep it no longer
  verify                                    hash everything again, name what is damaged

The store is in DIR, else in $SHIBAFU_CAS_ROOT, else in shibafu/cas under
$XDG_DATA_HOME or ~/.local/share.

The exit code is 0 if all is well, 1 if something failed or is damaged, 2 if the
command is wrong.
`

// The exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

// layout is where the files are. It is that of the CNCF distribution registry.
var layout = cas.Distribution

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program without its process: it returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{algorithm: digest.SHA256, stdin: stdin, stdout: stdout}
	err := p.run(context.Background(), args)
	var misused usageError
	switch {
	case err == nil:
		return exitOK
	case err == errDamaged:
		return exitFailed
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return exitOK
	case errors.As(err, &misused):
		fmt.Fprintf(stderr, "step2-cas: %v\n\n%s", err, usage)
		return exitUsage
	}
	fmt.Fprintln(stderr, "step2-cas:", err)
	return exitFailed
}

// usageError says what is wrong with the command line.
type usageError string

func (e usageError) Error() string { return string(e) }

// errDamaged is what verify ends with when it has said all that there is to say.
var errDamaged = errors.New("damaged")

// program is one run: its flags, and where it reads and writes.
type program struct {
	root      string
	algorithm digest.Algorithm
	stdin     io.Reader
	stdout    io.Writer
}

// parse reads the flags that precede the arguments it returns; --root is always
// one of them.
func (p *program) parse(args []string, more func(*flag.FlagSet)) ([]string, error) {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run says it
	flags.StringVar(&p.root, "root", p.root, "")
	more(flags)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, usageError(err.Error())
	}
	return flags.Args(), nil
}

func (p *program) run(ctx context.Context, args []string) error {
	args, err := p.parse(args, func(*flag.FlagSet) {})
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return usageError("no command")
	}
	command := args[0]
	args, err = p.parse(args[1:], func(flags *flag.FlagSet) {
		if command == "put" {
			flags.Func("algorithm", "", func(name string) (err error) {
				p.algorithm, err = digest.ParseAlgorithm(name)
				return err
			})
		}
	})
	if err != nil {
		return err
	}
	if p.root == "" {
		if p.root, err = defaultRoot(); err != nil {
			return err
		}
	}
	return p.command(ctx, command, args)
}

func (p *program) command(ctx context.Context, command string, args []string) error {
	switch command {
	case "help":
		return flag.ErrHelp
	case "put":
		if len(args) > 1 {
			return usageError("put takes one file, or - for standard input")
		}
		return p.put(ctx, append(args, "-")[0])
	case "get":
		return p.withDigest(ctx, args, p.get)
	case "stat":
		return p.withDigest(ctx, args, p.stat)
	case "rm":
		return p.withDigest(ctx, args, p.rm)
	case "ls", "verify":
		if len(args) != 0 {
			return usageError(command + " takes no argument")
		}
		if command == "ls" {
			return p.ls(ctx)
		}
		return p.verify(ctx)
	}
	return usageError(fmt.Sprintf("no such command: %q", command))
}

// withDigest calls do with the one argument, which is a digest, and has its error
// say so.
func (p *program) withDigest(ctx context.Context, args []string, do func(context.Context, digest.Digest) error) error {
	if len(args) != 1 {
		return usageError("this command takes one digest")
	}
	d, err := digest.Parse(args[0])
	if err != nil {
		return usageError(fmt.Sprintf("%q: %v", args[0], err))
	}
	return about(d, do(ctx, d))
}

// defaultRoot is the folder of the store where no flag names one.
func defaultRoot() (string, error) {
	if root := os.Getenv("SHIBAFU_CAS_ROOT"); root != "" {
		return root, nil
	}
	data := os.Getenv("XDG_DATA_HOME")
	if data == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		data = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(data, "shibafu", "cas"), nil
}
