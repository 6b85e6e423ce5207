package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
)

// request says which endpoint answers the request that line starts with, or how
// a registry refuses it.
func request(line string, stdout, stderr io.Writer) int {
	words := strings.Fields(line)
	if len(words) != 2 && (len(words) != 3 || !strings.HasPrefix(words[2], "HTTP/")) {
		return misused(stderr, "request wants a method and a path, such as \"GET /v2/\"")
	}
	// The server's own parser reads it, so what a server sees is what is explained.
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(words[0] + " " + words[1] + " HTTP/1.1\r\nHost: localhost\r\n\r\n")))
	if err != nil {
		row(stdout, "wrong", "not a request line of HTTP")
		row(stdout, "answer", status(http.StatusBadRequest))
		return exitInvalid
	}
	path, err := endpoint.ParsePath(r.URL.EscapedPath())
	if err != nil {
		return refuse(stdout, err, endpoint.Refusal(err))
	}
	e := path.Match(r.Method)
	if e == nil {
		code := refuse(stdout, fmt.Errorf("no endpoint answers %s here", r.Method), ocierr.Unsupported)
		row(stdout, "allow", strings.Join(path.Allow(), ", "))
		return code
	}
	printPath(stdout, e, path)
	printVariant(stdout, e.Variant(r.URL.Query()))
	return exitOK
}

// refuse prints an answer that is an error.
func refuse(w io.Writer, why, answer error) int {
	e, _ := ocierr.From(answer)
	row(w, "wrong", why.Error())
	row(w, "answer", status(e.Status)+", "+e.Error())
	return exitInvalid
}

func printPath(w io.Writer, e *endpoint.Endpoint, p endpoint.Path) {
	row(w, "endpoint", e.Name)
	row(w, "right", string(e.Action))
	if !p.Name.IsZero() {
		row(w, "name", p.Name.String())
	}
	if tag, ok := p.Reference.Tag(); ok {
		row(w, "tag", tag.String())
	}
	if d, ok := p.Reference.Digest(); ok {
		row(w, "digest", d.String())
	}
	if !p.Digest.IsZero() {
		row(w, "digest", p.Digest.String())
	}
	if p.Session != "" {
		row(w, "session", p.Session)
	}
}

func printVariant(w io.Writer, v *endpoint.Variant) {
	row(w, "role", v.Role)
	row(w, "success", statuses(v.Success))
	row(w, "failure", statuses(v.Failure))
	if v.ID == "" {
		row(w, "source", "not in the specification")
		return
	}
	row(w, "source", fmt.Sprintf("distribution specification, %q, %s", v.Section, v.ID))
}
