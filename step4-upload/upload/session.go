package upload

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/cas"
)

// note is what is kept of a session besides its bytes and their sum.
type note struct {
	Repository ref.Name  `json:"repository"`
	Owner      string    `json:"owner,omitempty"`
	Started    time.Time `json:"started,omitzero"` // zero in notes of earlier versions
	Touched    time.Time `json:"touched"`
}

// session is an open session. The manager's lock guards what is not said to be
// for whoever has the turn.
type session struct {
	note
	id   string
	turn chan struct{} // holds one token; who has it may use the bytes
	size int64         // bytes that are kept
	over bool          // cancelled or expired; who has the turn frees the bytes
	// A session of which nothing was saved is in memory alone: most blobs come in one
	// request and never need more. This is for whoever has the turn.
	saved     bool
	algorithm digest.Algorithm // of what comes, as long as nothing was saved
}

func newSession(id string, n note) *session {
	s := &session{note: n, id: id, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// status is zero for a session that is over. The manager's lock is held.
func (s *session) status() Status {
	if s.over {
		return Status{}
	}
	return Status{s.id, s.size}
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

// find returns the session, if the caller may know of it, and notes that somebody
// asked for it.
func (m *Manager) find(ctx context.Context, name ref.Name, id string) (*session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sessions[id]
	if !ok || s.Repository != name || s.Owner != m.owner(ctx) {
		return nil, ErrUnknown
	}
	s.Touched = time.Now()
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
	// It may have ended while this request was waiting, and left the rest to it.
	if m.isOver(s) {
		return nil, nil, errors.Join(ErrUnknown, m.free(ctx, s))
	}
	w, err := m.open(ctx, s)
	if err != nil {
		s.turn <- struct{}{}
		return s, nil, err
	}
	return s, w, nil
}

// open opens the bytes of a session whose turn the caller has.
func (m *Manager) open(ctx context.Context, s *session) (*cas.Writer, error) {
	if s.saved {
		return m.store.OpenWriter(ctx, s.id)
	}
	m.mu.Lock()
	note := s.note.encode()
	m.mu.Unlock()
	return m.store.NewWriter(ctx, s.id, s.algorithm, note)
}

// save keeps what w took in, whatever became of the request that sent it.
func (m *Manager) save(ctx context.Context, s *session, w *cas.Writer) error {
	m.mu.Lock()
	s.Touched = time.Now()
	w.SetNote(s.note.encode())
	m.mu.Unlock()
	if err := w.Save(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	s.saved = true
	m.mu.Lock()
	defer m.mu.Unlock()
	s.size = w.Size()
	return nil
}

// keep saves what w took in and gives the turn back. Where there is no room to do
// so the session ends, as its bytes may be what the disk is full of.
func (m *Manager) keep(ctx context.Context, s *session, w *cas.Writer) (Status, error) {
	err := m.save(ctx, s, w)
	if errors.Is(err, bucket.ErrFull) {
		return Status{}, errors.Join(err, m.end(ctx, s, w))
	}
	return m.give(ctx, s, w), err
}

// give passes the turn on, and returns how far the session has come by then. If
// it was cancelled meanwhile, its bytes are freed. Whoever cancels looks at the
// turn under the same lock, so one of the two sees the other.
func (m *Manager) give(ctx context.Context, s *session, w *cas.Writer) Status {
	m.mu.Lock()
	s.Touched = time.Now()
	if !s.over {
		defer m.mu.Unlock()
		w.Close()
		s.turn <- struct{}{}
		return s.status()
	}
	m.mu.Unlock()
	w.Cancel(context.WithoutCancel(ctx))
	s.turn <- struct{}{}
	return Status{}
}

// stop makes the session unknown and frees its bytes, or leaves that to who has the turn.
func (m *Manager) stop(ctx context.Context, s *session) error {
	m.mu.Lock()
	mine := m.claim(s)
	m.mu.Unlock()
	if !mine {
		return nil
	}
	return m.free(ctx, s)
}

// claim makes the session unknown, with the lock held. mine tells whether the
// turn was there to be taken too, so that the caller is to free the bytes; else
// whoever has the turn does.
func (m *Manager) claim(s *session) (mine bool) {
	m.drop(s)
	select {
	case <-s.turn:
		return true
	default:
		return false
	}
}

// free frees what bytes are left of a session whose turn the caller has, and
// passes the turn on.
func (m *Manager) free(ctx context.Context, s *session) error {
	defer func() { s.turn <- struct{}{} }()
	if !s.saved {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	w, err := m.store.OpenWriter(ctx, s.id)
	if errors.Is(err, bucket.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.Cancel(ctx)
}

// end removes the session and frees what bytes it has left.
func (m *Manager) end(ctx context.Context, s *session, w *cas.Writer) error {
	m.forget(s)
	err := w.Cancel(context.WithoutCancel(ctx))
	s.turn <- struct{}{}
	return err
}

func (m *Manager) isOver(s *session) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return s.over
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
	if m.perOwner[s.Owner]--; m.perOwner[s.Owner] <= 0 {
		delete(m.perOwner, s.Owner)
	}
}
