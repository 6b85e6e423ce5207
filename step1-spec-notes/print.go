package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode"
)

// row prints a line of two columns.
func row(w io.Writer, key, value string) { fmt.Fprintf(w, "%-10s %s\n", key, value) }

// status is "404 Not Found".
func status(code int) string { return fmt.Sprint(code, " ", http.StatusText(code)) }

// statuses joins them by commas.
func statuses(codes []int) string {
	words := make([]string, len(codes))
	for i, code := range codes {
		words[i] = status(code)
	}
	return strings.Join(words, ", ")
}

// printable returns s as it is if a terminal can show it without harm, else
// quoted, and never more than a line of it: what is explained here may come from
// anywhere.
func printable(s string) string {
	const limit = 200
	rest := ""
	if len(s) > limit {
		rest = fmt.Sprintf("… (%d bytes)", len(s))
		s = strings.ToValidUTF8(s[:limit], "")
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		s = strconv.Quote(s)
	}
	return s + rest
}
