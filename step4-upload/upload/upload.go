// Package upload receives blobs in sessions: a session is opened, bytes are
// added at its end in as many requests as it takes, and finishing it publishes
// them under their digest. Sessions survive a restart of the process; those that
// nobody goes on with expire. manager.go has the operations, list.go those of who
// looks after all sessions, session.go what they share.
package upload

import (
	"cmp"
	"errors"
	"math"
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

// What Limits are where they are not set.
const (
	DefaultSessions      = 10_000
	DefaultPerRepository = 1_000
	DefaultIdle          = 24 * time.Hour
	DefaultBusy          = 5 * time.Second
)

// Limits bound what clients can have lying about. The zero value of a field
// stands for its default.
type Limits struct {
	// Sessions and PerRepository bound the open sessions.
	Sessions, PerRepository int
	// PerOwner bounds those of one owner, where there is one; by default it does not.
	PerOwner int
	// Blob is the largest blob, in bytes; by default there is no limit.
	Blob int64
	// Idle is how long a session lives after its last request.
	Idle time.Duration
	// Busy is how long a request waits for another one on the same session.
	Busy time.Duration
}

func (l Limits) withDefaults() Limits {
	l.Sessions = cmp.Or(l.Sessions, DefaultSessions)
	l.PerRepository = cmp.Or(l.PerRepository, DefaultPerRepository)
	l.PerOwner = cmp.Or(l.PerOwner, math.MaxInt)
	l.Blob = cmp.Or(l.Blob, math.MaxInt64)
	l.Idle = cmp.Or(l.Idle, DefaultIdle)
	l.Busy = cmp.Or(l.Busy, DefaultBusy)
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
