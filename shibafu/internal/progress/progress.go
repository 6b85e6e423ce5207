// Package progress shows how a copy gets on, to people or to programs. Nothing in it
// has a colour, and the cursor is never hidden, so that there is nothing to put back
// when a program is killed.
//
// Reading order: progress.go, state.go (what is known), bars.go (the screen), line.go (a
// line of it), lines.go (for programs).
package progress

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step6-client/report"
	"shibafu.dev/step6-client/transfer"

	"shibafu.dev/shibafu/internal/terminal"
)

// Mode is how it is shown.
type Mode string

// The modes.
const (
	Auto  Mode = "auto"  // Bars on a terminal, else Plain
	Bars  Mode = "bars"  // a line that moves for each blob
	Plain Mode = "plain" // a line for each that has its place
	JSON  Mode = "json"  // an object a line
	None  Mode = "none"
)

// Choices are the words for all modes.
func (*Mode) Choices() []string {
	return []string{string(Auto), string(Bars), string(Plain), string(JSON), string(None)}
}

// String implements flag.Value.
func (m *Mode) String() string { return string(*m) }

// Set implements flag.Value.
func (m *Mode) Set(text string) error {
	if !slices.Contains(m.Choices(), text) {
		return errors.New("want " + strings.Join(m.Choices(), ", "))
	}
	*m = Mode(text)
	return nil
}

// Shown is what is told of a copy. Its methods may be called at once from many
// goroutines.
type Shown interface {
	// Event is for transfer.Options.Progress.
	Event(transfer.Event)
	// Bytes is for client.Options.Progress: it is told what comes of a registry.
	Bytes(d digest.Digest, done, size int64)
	// Waiting says that another process has the store.
	Waiting(error)
	// Close ends it: nothing more is written. It may be called twice.
	Close()
}

// New shows on out.
func New(m Mode, out io.Writer) Shown {
	tty := terminal.Of(out)
	if m == Auto {
		m = Plain
		if t := os.Getenv("TERM"); tty != nil && t != "" && t != "dumb" {
			m = Bars
		}
	}
	switch m {
	case None:
		return none{}
	case JSON:
		return newLines(out)
	case Bars:
		return newBars(out, func() (columns, rows int) {
			if tty == nil {
				return 0, 0
			}
			return terminal.Size(tty)
		})
	}
	return plain{report.NewLines(out)}
}

// plain is Plain.
type plain struct{ *report.Lines }

func (plain) Bytes(digest.Digest, int64, int64) {}
func (plain) Close()                            {}

// none is None.
type none struct{}

func (none) Event(transfer.Event)              {}
func (none) Bytes(digest.Digest, int64, int64) {}
func (none) Waiting(error)                     {}
func (none) Close()                            {}
