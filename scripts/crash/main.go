// Command crash takes a registry down in the middle of its work, in every way
// that it can be taken down, and then asks for all that was acknowledged. It is
// run by scripts/crash.sh:
//
//	kill    the process is killed at random moments
//	power   so is the machine: all that did not reach the disk is gone
//	full    the disk is full
//	faults  system calls fail, one after the other
//
// Reading order: model.go says what counts as kept; client.go, upload.go and
// pusher.go make the load; server.go starts and kills what is tested; check.go,
// sessions.go and fsck.go compare; loop.go puts a cycle together. Each part then
// has a file of its own name.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Exit codes. What is wrong with the registry is told apart from what keeps the
// harness from working, so that "it must fail" cannot be met by chance.
const (
	exitBroken     = 1
	exitViolations = 3
)

// config is what a part is run with.
type config struct {
	server  string // the program to test
	work    string // a folder of our own
	cycles  int
	seed    uint64
	systems string
	moment  string
	all     bool
}

var parts = map[string]func(context.Context, config) (string, error){
	"kill":   killPart,
	"power":  powerPart,
	"full":   fullPart,
	"faults": faultsPart,
}

func main() {
	// The servers die with the thread that started them.
	runtime.LockOSThread()
	if len(os.Args) < 2 || parts[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: crash kill|power|full|faults [flags]")
		os.Exit(exitBroken)
	}
	var c config
	flags := flag.NewFlagSet("crash "+os.Args[1], flag.ExitOnError)
	flags.StringVar(&c.server, "server", "", "`program` to test")
	flags.StringVar(&c.work, "work", "", "`folder` to work in")
	flags.IntVar(&c.cycles, "cycles", 50, "how often to crash")
	flags.Uint64Var(&c.seed, "seed", 0, "what random choices start from; 0 for the time")
	flags.StringVar(&c.systems, "fs", "ext4,xfs,btrfs", "file systems to cut the power of")
	flags.StringVar(&c.moment, "at", "", "crash at a random `moment`, ack (when something was acknowledged) or sight (first seen); any of them if empty")
	flags.BoolVar(&c.all, "all", false, "try every call of the sweep, not a sample")
	limit := flags.Duration("timeout", 10*time.Minute, "give up after")
	flags.Parse(os.Args[2:])
	if c.seed == 0 {
		c.seed = uint64(time.Now().UnixNano())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, *limit, errors.New("took too long"))
	defer cancel()
	summary, err := parts[os.Args[1]](ctx, c)
	var found *violations
	switch {
	case err == nil:
		fmt.Println(summary)
	case ctx.Err() != nil: // what was cut short has failed for that reason
		fmt.Fprintf(os.Stderr, "crash %s: %v (seed %d)\n", os.Args[1], context.Cause(ctx), c.seed)
		os.Exit(exitBroken)
	case errors.As(err, &found):
		fmt.Fprintf(os.Stderr, "%v\nreplay: SEED=%d scripts/crash.sh %s (the same choices; their timing is the machine's)\n", err, c.seed, os.Args[1])
		os.Exit(exitViolations)
	default:
		fmt.Fprintf(os.Stderr, "crash %s: %v (seed %d)\n", os.Args[1], err, c.seed)
		os.Exit(exitBroken)
	}
}

// violations are the promises that a registry did not keep.
type violations struct {
	where string // which part, cycle, and what was done
	found []string
	log   string // the end of the server's log
}

func (v *violations) Error() string {
	const most = 20
	var b strings.Builder
	fmt.Fprintf(&b, "VIOLATION in %s:\n", v.where)
	for _, f := range v.found[:min(most, len(v.found))] {
		fmt.Fprintf(&b, "  - %s\n", f)
	}
	if n := len(v.found) - most; n > 0 {
		fmt.Fprintf(&b, "  and %d more\n", n)
	}
	if v.log != "" {
		fmt.Fprintf(&b, "end of the server's log:\n%s", v.log)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
