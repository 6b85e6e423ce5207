// Bench measures shibafu beside other registries, in one run on one machine, and
// prints what it found as ratios: absolute times differ from machine to machine
// and from minute to minute. bench.sh builds what it needs and starts it.
//
// It is a program of its own, and not Go benchmarks, because what counts is the
// server as a whole process: its CPU time, its memory, its system calls.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "baseline" {
		fmt.Fprintln(os.Stderr, baseline(os.Args[2:]))
		os.Exit(1)
	}
	tools := flag.String("tools", "", "folder of the other registries' programs: registry, docker-registry, crane")
	shibafu := flag.String("shibafu", "", "shibafu's program")
	work := flag.String("work", "", "folder for stores")
	only := flag.String("only", "", "comma-separated workloads, or what their names begin with up to a hyphen; all if empty")
	scale := flag.Float64("scale", 1, "how much work to do; 1 takes some minutes")
	flag.Parse()
	b := bench{tools: *tools, shibafu: *shibafu, work: *work, scale: *scale, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, WriteBufferSize: 256 << 10},
	}}
	for _, w := range workloads {
		if !w.chosen(*only) {
			continue
		}
		fmt.Printf("\n%s\n", w.what)
		if err := w.run(&b); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", w.name, err)
			os.Exit(1)
		}
	}
	fmt.Printf("\n%d bars met, %d missed\n", b.met, b.missed)
	if b.missed > 0 {
		os.Exit(1)
	}
}

// workload is one row of the table of bars.
type workload struct {
	name, what string
	run        func(*bench) error
}

// chosen tells whether a list of names has that of w, or of its group; "" has all.
func (w workload) chosen(list string) bool {
	group, _, _ := strings.Cut(w.name, "-")
	return list == "" || strings.Contains(","+list+",", ","+w.name+",") || strings.Contains(","+list+",", ","+group+",")
}

var workloads = []workload{
	{"manifest", "manifest GET by tag, 16 connections", (*bench).manifestGet},
	{"blob", "blob GET, 10 KiB, 16 connections", (*bench).blobGet},
	{"pull", "pull 256 MiB, 4 at once", (*bench).pull},
	{"push", "push 256 MiB", (*bench).push},
	{"images", "push images of 5 layers of 10 KiB, 8 clients", (*bench).images},
	{"tag", "move a tag, 8 clients", (*bench).tag},
	{"tags", "a page of 100 tags in 100,000", (*bench).tags},
	{"catalog", "a page of 100 repositories in 10,000", (*bench).catalog},
	{"start", "start, and memory when idle", (*bench).start},
	{"client-pull", "clients pull 8 layers of 64 MiB", (*bench).clientPull},
	{"client-push", "clients push 8 layers of 64 MiB", (*bench).clientPush},
	{"client-copy", "clients copy 8 layers of 64 MiB between registries", (*bench).clientCopy},
	{"client-cut", "clients move 64 MiB over a link of 50 Mbit/s that is cut every 3 s", (*bench).clientCut},
	{"client-again", "clients pull what they have", (*bench).clientAgain},
	{"run-true", "run a container that does nothing", (*bench).runTrue},
	{"run-first", "run an image of 200 MiB of which nothing is here", (*bench).runFirst},
}

// bench is one run.
type bench struct {
	tools, shibafu, work string
	scale                float64
	client               *http.Client
	moved                *fixture // what the clients move, once it is made
	met, missed          int
}

// count scales a number of requests.
func (b *bench) count(n int) int { return max(int(float64(n)*b.scale), 16) }

// atLeast and atMost print a bar, and whether it is met.
func (b *bench) atLeast(what string, got, bar float64) { b.bar(what, got, bar, got >= bar, ">=") }
func (b *bench) atMost(what string, got, bar float64)  { b.bar(what, got, bar, got <= bar, "<=") }

func (b *bench) bar(what string, got, bar float64, met bool, sign string) {
	verdict := "met"
	if met {
		b.met++
	} else {
		b.missed++
		verdict = "MISSED"
	}
	fmt.Printf("  %-58s %8.2f  %s %.4g  %s\n", what, got, sign, bar, verdict)
}
