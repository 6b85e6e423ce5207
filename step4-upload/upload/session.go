package upload

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/cas"
)

// note is what is kept of a session besides its bytes and their sum.
type note struct {
	Repository ref.Name  `json:"repository"`
	Owner      string    `json:"owner,omitempty"`
	Touched    time.Time `json:"touched"`
}

// session is an open session. The manager's lock guards all but turn.
type session struct {
	note
	id   string
	turn chan struct{} // holds one token; who has it may use the bytes
	size int64         // bytes that are kept
	over bool          // cancelled or expired; who has the turn frees the bytes
}

func newSession(id string, n note, size int64) *session {
	s := &session{note: n, id: id, turn: make(chan struct{}, 1), size: size}
	s.turn <- struct{}{}
	return s
}

// newID returns a random UUID.
//
// Source: RFC 9562, section 5.4.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (n note) encode() []byte {
	raw, err := json.Marshal(n)
	if err != nil {
		panic(err) // none of the fields can fail
	}
	return raw
}

// find returns the session, if the caller may know of it.
func (m *Manager) find(ctx context.Context, name ref.Name, id string) (*session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sessions[id]
	if !ok || s.Repository != name || s.Owner != m.owner(ctx) {
		return nil, ErrUnknown
	}
	return s, nil
}

// take waits for the session's turn and opens its bytes. Each take is followed
// by a give, or by an end.
func (m *Manager) take(ctx context.Context, name ref.Name, id string) (*session, *cas.Writer, error) {
	s, err := m.find(ctx, name, id)
	if err != nil {
		return nil, nil, err
	}
	busy := time.NewTimer(m.limits.Busy)
	defer busy.Stop()
	select {
	case <-s.turn:
	case <-busy.C:
		return s, nil, ErrBusy
	case <-ctx.Done():
		return s, nil, ctx.Err()
	}
	// It may have ended while this request was waiting.
	if again, err := m.find(ctx, name, id); err != nil || again != s {
		s.turn <- struct{}{}
		return nil, nil, ErrUnknown
	}
	w, err := m.store.OpenWriter(ctx, id)
	if err != nil {
		s.turn <- struct{}{}
		return s, nil, err
	}
	return s, w, nil
}

// save keeps what w took in, whatever became of the request that sent it.
func (m *Manager) save(ctx context.Context, s *session, w *cas.Writer) error {
	n := s.note
	n.Touched = time.Now()
	w.SetNote(n.encode())
	if err := w.Save(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s.size = w.Size()
	return nil
}

// give passes the turn on. If the session was cancelled meanwhile, its bytes are
// freed. Whoever cancels looks at the turn under the same lock, so one of the two
// sees the other.
func (m *Manager) give(ctx context.Context, s *session, w *cas.Writer) {
	m.mu.Lock()
	s.Touched = time.Now()
	if !s.over {
		w.Close()
		s.turn <- struct{}{}
		m.mu.Unlock()
		return
	}
	m.mu.Unlock()
	w.Cancel(context.WithoutCancel(ctx))
	s.turn <- struct{}{}
}

// end removes the session and frees what bytes it has left.
func (m *Manager) end(ctx context.Context, s *session, w *cas.Writer) error {
	m.forget(s)
	err := w.Cancel(context.WithoutCancel(ctx))
	s.turn <- struct{}{}
	return err
}

// forget makes the session unknown.
func (m *Manager) forget(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(s)
}

// drop is forget with the lock held.
func (m *Manager) drop(s *session) {
	if m.sessions[s.id] != s {
		return
	}
	s.over = true
	delete(m.sessions, s.id)
	if m.perRepository[s.Repository]--; m.perRepository[s.Repository] == 0 {
		delete(m.perRepository, s.Repository)
	}
}
