// Abuse holds a registry against those who mean it no good: thousands of slow
// connections, floods of passwords, of pulls and of HTTP/2's frames. While they are at
// it an honest client must not notice, each of them must be gone by its deadline, and
// afterwards the server must be as it was. abuse.sh builds what it needs and starts it.
//
// Everything stays on this machine: who comes from many addresses comes from many of
// 127.0.0.0/8. main.go has the table of parts, server.go the registry and what can be
// seen of it, honest.go the client that must not notice, crowd.go many connections of
// a kind, drain.go one that pulls without end; the parts are in slow.go, users.go, tls.go and
// http2.go.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// What the server is told, so that deadlines come within seconds.
const (
	header = 3 * time.Second // --limits-header
	idle   = 3 * time.Second // --limits-idle
	window = 2 * time.Second // --limits-window
	rate   = 128 << 10       // --limits-rate, bytes a second
	// patience is how long a slice of a response may take: the server's rule, of package
	// api.
	patience = window + 256<<10*time.Second/rate
	// late is by how much a deadline may be missed: the machine is not ours alone.
	late = 1500 * time.Millisecond
)

// Bars of what an honest client may wait, in 95 of 100 cases.
const (
	headBar  = 50 * time.Millisecond
	loginBar = 500 * time.Millisecond
)

// part is one kind of abuse. It says what it found in a line.
type part struct {
	name string
	run  func(*abuse) (string, error)
}

var parts = []part{
	{"slow", (*abuse).slow},
	{"passwords", (*abuse).passwords},
	{"more-passwords", (*abuse).morePasswords},
	{"pulls", (*abuse).pulls},
	{"silence", (*abuse).silence},
	{"strangers", (*abuse).strangers},
	{"deaf", (*abuse).deaf},
	{"resets", (*abuse).resets},
	{"continuation", (*abuse).continuation},
}

// abuse is one run.
type abuse struct {
	program, work string
	users         map[string]bool // that were added
}

func main() {
	if len(os.Args) == 5 && os.Args[1] == "drain" {
		if err := drainMain(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "abuse drain:", err)
			os.Exit(1)
		}
		return
	}
	program := flag.String("shibafu", "", "shibafu's program")
	work := flag.String("work", "", "folder for stores")
	only := flag.String("only", "", "comma-separated parts; all if empty")
	flag.Parse()
	a := &abuse{program: *program, work: *work, users: map[string]bool{}}
	failed := 0
	for _, p := range parts {
		if (*only == "" || strings.Contains(","+*only+",", ","+p.name+",")) && !p.holds(a) {
			failed++
		}
	}
	if failed > 0 {
		os.Exit(1)
	}
}

// holds runs a part, and once more if it fails: others use this machine too, and a bar of
// some milliseconds is missed when they take it.
func (p part) holds(a *abuse) bool {
	for range 2 {
		line, err := p.run(a)
		word := "ok"
		if err != nil {
			word = "FAIL"
			for text := range strings.Lines(err.Error()) {
				fmt.Printf("FAIL %s: %s\n", p.name, strings.TrimSuffix(text, "\n"))
			}
		}
		if line != "" {
			fmt.Printf("%-4s %-14s %s\n", word, p.name, line)
		}
		if err == nil {
			return true
		}
	}
	return false
}

// must collects what does not hold.
type must []error

func (m *must) hold(ok bool, format string, args ...any) {
	if !ok {
		*m = append(*m, fmt.Errorf(format, args...))
	}
}

// add adds an error that is not nil.
func (m *must) add(err error) { m.hold(err == nil, "%w", err) }

func (m must) err() error { return errors.Join(m...) }
