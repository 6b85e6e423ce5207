// Package report says to people what a copy does: in lines, for where no screen is.
package report

import (
	"fmt"
	"io"
	"sync"

	"shibafu.dev/step6-client/transfer"
)

// Lines writes one line for each blob and manifest that has its place. Its methods
// may be called at once from many goroutines.
type Lines struct {
	mu  sync.Mutex
	out io.Writer
}

// NewLines writes to out.
func NewLines(out io.Writer) *Lines { return &Lines{out: out} }

var outcomes = map[transfer.Kind]string{
	transfer.Copied:  "copied",
	transfer.Present: "already there",
	transfer.Left:    "left out: its licence may forbid to pass it on",
}

// Outcome says what became of a blob or manifest; "" while it is under way.
func Outcome(k transfer.Kind) string { return outcomes[k] }

// Event is for transfer.Options.Progress.
func (l *Lines) Event(e transfer.Event) {
	outcome := Outcome(e.Kind)
	if outcome == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, "%s %9s %s\n", e.Descriptor.Digest.String()[:19], Size(e.Descriptor.Size), outcome)
}

// Waiting says for whom it is waited.
func (l *Lines) Waiting(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.out, "waiting:", err)
}

// Size is a number of bytes for people: "2.7 MB", of 1000 kB each.
func Size(n int64) string {
	const step = 1_000
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	value := float64(n)
	for _, unit := range []string{"kB", "MB", "GB"} {
		if value /= step; value < step {
			return fmt.Sprintf("%.1f %s", value, unit)
		}
	}
	return fmt.Sprintf("%.1f TB", value/step)
}
