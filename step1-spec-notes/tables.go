package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ocierr"
)

// variant is a row of the table of endpoints, with the endpoint it belongs to.
type variant struct {
	*endpoint.Endpoint
	*endpoint.Variant
}

// path is the pattern with the query that chooses the row.
func (v variant) path() string {
	if len(v.Query) == 0 {
		return v.Pattern
	}
	return v.Pattern + "?" + strings.Join(v.Query, "=…&") + "=…"
}

// number is what the specification's IDs sort by: 12 of "end-12a". What has no ID
// comes last.
func (v variant) number() (n int) {
	if _, err := fmt.Sscanf(v.ID, "end-%d", &n); err != nil {
		return 1000
	}
	return n
}

// variants lists all rows in the order of the specification.
func variants() []variant {
	var all []variant
	for e := range endpoint.All() {
		for i := range e.Variants {
			all = append(all, variant{e, &e.Variants[i]})
		}
	}
	slices.SortStableFunc(all, func(a, b variant) int {
		return cmp.Or(cmp.Compare(a.number(), b.number()), cmp.Compare(a.ID, b.ID))
	})
	return all
}

func printEndpoints(w io.Writer, markdown bool) {
	t := newTable(w, markdown, "ID", "Method", "Path", "Right", "Success", "Failure", "Role")
	for _, v := range variants() {
		t.row(v.ID, strings.Join(v.Methods, ", "), t.code(v.path()), string(v.Action), numbers(v.Success), numbers(v.Failure), v.Role)
	}
	t.flush()
}

func printErrors(w io.Writer, markdown bool) {
	t := newTable(w, markdown, "ID", "Code", "Status", "Message")
	for e := range ocierr.Table() {
		t.row(e.ID, t.code(string(e.Code)), status(e.Status), e.Message)
	}
	t.flush()
}

// numbers joins statuses by commas.
func numbers(codes []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(codes), " ", ", "), "[]")
}

// table prints rows in columns, for a terminal or as Markdown.
type table struct {
	w        io.Writer
	columns  *tabwriter.Writer
	markdown bool
}

func newTable(w io.Writer, markdown bool, head ...string) *table {
	t := &table{w, tabwriter.NewWriter(w, 0, 0, 2, ' ', 0), markdown}
	if !markdown {
		for i := range head {
			head[i] = strings.ToUpper(head[i])
		}
	}
	t.row(head...)
	if markdown {
		fmt.Fprintln(w, strings.Repeat("|---", len(head))+"|")
	}
	return t
}

func (t *table) row(cells ...string) {
	if t.markdown {
		fmt.Fprintln(t.w, "| "+strings.Join(cells, " | ")+" |")
		return
	}
	for i, cell := range cells {
		cells[i] = cmp.Or(cell, "-")
	}
	fmt.Fprintln(t.columns, strings.Join(cells, "\t"))
}

// code marks s as a word of the wire.
func (t *table) code(s string) string {
	if t.markdown {
		return "`" + s + "`"
	}
	return s
}

func (t *table) flush() { t.columns.Flush() }
