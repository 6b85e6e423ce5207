package upload

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"shibafu.dev/step1-spec-notes/ref"
)

// Session is an open session as a list shows it.
type Session struct {
	ID         string
	Repository ref.Name
	Owner      string // "" where nobody in particular may use it
	// Size is how many bytes are kept. What a request is adding counts once it ends.
	Size int64
	// Started and Touched are when it was opened and last asked for; Started is zero for
	// one that an earlier version opened.
	Started, Touched time.Time
	// Active tells that a request is adding to it.
	Active bool
}

// Sessions are all open sessions, whoever owns them, the oldest first.
func (m *Manager) Sessions() []Session {
	m.mu.Lock()
	all := make([]Session, 0, len(m.sessions))
	for _, s := range m.sessions {
		all = append(all, Session{s.id, s.Repository, s.Owner, s.size, s.Started, s.Touched, len(s.turn) == 0})
	}
	m.mu.Unlock()
	slices.SortFunc(all, func(a, b Session) int {
		return cmp.Or(a.Started.Compare(b.Started), strings.Compare(a.ID, b.ID))
	})
	return all
}

// End is Cancel for who may end any session. ErrUnknown.
func (m *Manager) End(ctx context.Context, id string) error {
	m.mu.Lock()
	s, ok := m.sessions[id]
	m.mu.Unlock()
	if !ok {
		return ErrUnknown
	}
	return m.stop(ctx, s)
}
