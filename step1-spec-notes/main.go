// Step1-spec-notes explains the words of the OCI specifications: the endpoints of
// a registry, its errors, its documents and the grammars of its names.
//
// Reading order: main.go, check.go, request.go, tables.go, explain.go; then the
// packages digest, ref, ocierr, endpoint, oci.
package main

import (
	"fmt"
	"io"
	"os"
)

const usage = `Usage: step1-spec-notes COMMAND

  endpoints [--markdown]         the endpoints of the API
  errors [--markdown]            the error codes
  request "METHOD PATH[?QUERY]"  which endpoint answers a request, and how
  check digest|name|tag|ref TEXT whether TEXT is valid, and what it is made of
  explain FILE|-                 a manifest, index or image config, field by field

The exit code is 0 if all is well, 1 if what was looked at is wrong, 2 if the
command is.
`

// The exit codes.
const (
	exitOK = iota
	exitInvalid
	exitUsage
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program without its process: it returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		return misused(stderr, "")
	}
	switch command, args := args[0], args[1:]; command {
	case "-h", "-help", "--help", "help":
		fmt.Fprint(stdout, usage)
		return exitOK
	case "endpoints", "errors":
		print := map[string]func(io.Writer, bool){"endpoints": printEndpoints, "errors": printErrors}[command]
		if len(args) > 1 || len(args) == 1 && args[0] != "--markdown" {
			return misused(stderr, command+" takes nothing but --markdown")
		}
		print(stdout, len(args) == 1)
		return exitOK
	case "request":
		if len(args) != 1 {
			return misused(stderr, "request takes one argument, such as \"GET /v2/\"")
		}
		return request(args[0], stdout, stderr)
	case "check":
		if len(args) != 2 {
			return misused(stderr, "check takes a grammar and a text")
		}
		return check(args[0], args[1], stdout, stderr)
	case "explain":
		if len(args) != 1 {
			return misused(stderr, "explain takes one file, or - for standard input")
		}
		return explainFile(args[0], stdin, stdout, stderr)
	default:
		return misused(stderr, "unknown command "+printable(command))
	}
}

// misused says what was wrong with the command line, if anything in particular,
// and how it is used.
func misused(stderr io.Writer, why string) int {
	if why != "" {
		fmt.Fprintf(stderr, "%s\n\n", why)
	}
	fmt.Fprint(stderr, usage)
	return exitUsage
}
