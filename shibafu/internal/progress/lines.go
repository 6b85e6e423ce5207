package progress

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step6-client/transfer"
)

// lines is JSON: an object a line.
type lines struct {
	mu    sync.Mutex
	out   io.Writer
	state *state
	told  map[digest.Digest]time.Time // of a blob's bytes
}

// Line is one of them.
type Line struct {
	// Event is started, moved, copied, present, left or waiting.
	Event     string        `json:"event"`
	Digest    digest.Digest `json:"digest,omitzero"`
	MediaType string        `json:"mediaType,omitempty"`
	Size      int64         `json:"size,omitempty"`
	// Done is how many bytes there are; it may become less, where some were lost.
	Done int64 `json:"done,omitempty"`
	// Message says for whom it is waited.
	Message string `json:"message,omitempty"`
}

func newLines(out io.Writer) *lines {
	return &lines{out: out, state: newState(), told: map[digest.Digest]time.Time{}}
}

var events = map[transfer.Kind]string{
	transfer.Started: "started", transfer.Moved: "moved", transfer.Copied: "copied", transfer.Present: "present", transfer.Left: "left",
}

// Event implements Shown.
func (l *lines) Event(e transfer.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.event(e)
	if e.Kind == transfer.Moved && !l.due(e.Descriptor.Digest) {
		return
	}
	l.write(Line{Event: events[e.Kind], Digest: e.Descriptor.Digest, MediaType: e.Descriptor.MediaType, Size: e.Descriptor.Size, Done: e.Done})
}

// Bytes implements Shown.
func (l *lines) Bytes(d digest.Digest, done, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := l.state.by[d]; i != nil && i.outcome == "" && l.due(d) {
		l.write(Line{Event: "moved", Digest: d, Size: size, Done: done})
	}
}

// Waiting implements Shown.
func (l *lines) Waiting(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write(Line{Event: "waiting", Message: err.Error()})
}

// Close implements Shown.
func (*lines) Close() {}

// due tells whether it is time again to tell of a blob's bytes: each read would be too
// often. The lock is held.
func (l *lines) due(d digest.Digest) bool {
	const pause = 200 * time.Millisecond
	now := time.Now()
	if now.Sub(l.told[d]) < pause {
		return false
	}
	l.told[d] = now
	return true
}

func (l *lines) write(line Line) {
	raw, err := json.Marshal(line)
	if err != nil {
		panic(err) // none of the fields can fail
	}
	l.out.Write(append(raw, '\n'))
}
