// Package audit keeps the audit log: a line of JSON for each thing that was changed and
// for each refusal, in a file that is only ever added to. audit.go has what a line says,
// log.go the file, rotate.go how it is replaced before it is too large.
//
// An event is written when its request has been answered, so the log is no transaction:
// what a crash of the process cuts off in that moment is not in it, nor, after a power
// cut, what was written since the last sync, about a second before. What could not be
// written is counted, and the next line that can be says how much that was.
package audit

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"
)

// Event is a line of the log. Fields that say nothing are left out.
type Event struct {
	Time time.Time `json:"time"` // in UTC
	// ID is the request's, as in the access log, and Trace that of the trace that it is a
	// part of.
	ID    string `json:"id,omitempty"`
	Trace string `json:"trace,omitempty"`
	// Who did it, and what vouches for that. A name that was not proved is not here: people
	// type passwords in its place.
	Identity string `json:"identity,omitempty"`
	Kind     string `json:"kind,omitempty"`
	// Client is the address that it came from, Agent what the client calls itself.
	Client string `json:"client,omitempty"`
	Agent  string `json:"agent,omitempty"`
	// Action is what was done, or was to be: "push manifest", "log in", "add user".
	Action string `json:"action"`
	// Right is what it takes: "push", "delete".
	Right      string `json:"right,omitempty"`
	Repository string `json:"repository,omitempty"`
	// From is the repository that a blob was taken over from.
	From      string   `json:"from,omitempty"`
	Reference string   `json:"reference,omitempty"`
	Tags      []string `json:"tags,omitempty"`
	Digest    string   `json:"digest,omitempty"`
	// Target is what is neither repository nor blob: the name of a user.
	Target string `json:"target,omitempty"`
	Result Result `json:"result"`
	// Status and Code are what the client was told.
	Status int    `json:"status,omitempty"`
	Code   string `json:"code,omitempty"`
	// Reason is why somebody was refused, in a word: "credentials", "denied".
	Reason string `json:"reason,omitempty"`
	// Lost is how many events before this one could not be written, Unsaid how many
	// refusals were left out because their source was refused too often. The Log sets both.
	Lost   uint64 `json:"lost,omitempty"`
	Unsaid uint64 `json:"unsaid,omitempty"`
}

// Result is what became of it.
type Result string

const (
	Done    Result = "done"
	Refused Result = "refused"
	// Failed is a change that a fault of the server's kept from being made; a part of it
	// may have been.
	Failed Result = "failed"
)

// maxText is how much of a text that others chose is kept, in bytes.
const maxText = 1024

// line is the event as it is written, with its end.
func (e Event) line() ([]byte, error) {
	e.Time = e.Time.UTC()
	for _, text := range []*string{&e.Identity, &e.Agent, &e.Target, &e.Reference, &e.Trace, &e.ID, &e.Reason} {
		*text = printable(*text)
	}
	raw, err := json.Marshal(e)
	return append(raw, '\n'), err
}

// printable bounds a text, and takes out of it what could mean something to a terminal.
// JSON escapes what is below a space, and no other control character.
func printable(text string) string {
	if len(text) > maxText {
		text = text[:maxText] + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
