// Package upload receives blobs in sessions: a session is opened, bytes are
// added at its end in as many requests as it takes, and finishing it publishes
// them under their digest. Sessions survive a restart of the process; those that
// nobody goes on with expire. manager.go has the operations, session.go what
// they share.
package upload

import (
	"errors"
	"time"
)

// What the errors of this package are, besides digest.ErrMismatch and those of
// package bucket.
var (
	// ErrUnknown says that there is no such session in that repository, or no more.
	ErrUnknown = errors.New("upload: no such session")
	// ErrOffset says that the bytes do not start where the session ends. The Status
	// returned with it says where that is.
	ErrOffset = errors.New("upload: bytes do not start at the end of the session")
	// ErrBusy says that another request is adding to the session, and did not end
	// in the time that one waits for it.
	ErrBusy = errors.New("upload: another request is writing to the session")
	// ErrTooMany says that a limit on open sessions is reached.
	ErrTooMany = errors.New("upload: too many open sessions")
	// ErrTooLarge says that the blob is larger than the limit. The session is over.
	ErrTooLarge = errors.New("upload: blob is too large")
)

// Limits bound what clients can have lying about. The zero value of a field
// means its default.
type Limits struct {
	// Sessions and PerRepository bound the open sessions. 10,000 and 1,000.
	Sessions, PerRepository int
	// Blob is the largest blob, in bytes. No limit.
	Blob int64
	// Idle is how long a session lives after its last request. 24 h.
	Idle time.Duration
	// Busy is how long a request waits for another one on the same session. 5 s.
	Busy time.Duration
}

func (l Limits) withDefaults() Limits {
	if l.Sessions == 0 {
		l.Sessions = 10_000
	}
	if l.PerRepository == 0 {
		l.PerRepository = 1_000
	}
	if l.Blob == 0 {
		l.Blob = 1<<63 - 1
	}
	if l.Idle == 0 {
		l.Idle = 24 * time.Hour
	}
	if l.Busy == 0 {
		l.Busy = 5 * time.Second
	}
	return l
}

// Status is how far a session has come.
type Status struct {
	ID string
	// Size is how many bytes are kept, in bytes: the offset of the next one.
	Size int64
}

// AtEnd stands for the offset of the next byte, wherever that is.
const AtEnd = -1
