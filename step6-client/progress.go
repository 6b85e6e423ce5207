package main

import (
	"fmt"
	"io"
	"sync"

	"shibafu.dev/step6-client/transfer"
)

// report says in plain lines what happens, one for each blob and manifest.
type report struct {
	mu  sync.Mutex
	out io.Writer
}

var outcomes = map[transfer.Kind]string{
	transfer.Copied:  "copied",
	transfer.Present: "already there",
	transfer.Left:    "left out: its licence may forbid to pass it on",
}

func (r *report) event(e transfer.Event) {
	outcome, ok := outcomes[e.Kind]
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, "%s %9s %s\n", e.Descriptor.Digest.String()[:19], size(e.Descriptor.Size), outcome)
}

func (r *report) waiting(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintln(r.out, "waiting:", err)
}

// size is a number of bytes for people.
func size(n int64) string {
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
