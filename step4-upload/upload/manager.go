package upload

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/cas"
)

// Commit publishes what w took in as the blob d of the repository. Package repo
// has one that also links it there.
type Commit func(ctx context.Context, name ref.Name, w *cas.Writer, d digest.Digest) error

// CommitBare publishes to the store alone, which all repositories share.
func CommitBare(ctx context.Context, _ ref.Name, w *cas.Writer, d digest.Digest) error {
	return w.Commit(ctx, d)
}

// Manager holds the open sessions of a registry. Its methods may be called at
// once from many goroutines.
type Manager struct {
	store  *cas.Store
	commit Commit
	limits Limits
	// Owner says on whose behalf a context acts; a session can be used by its owner
	// alone. It is set before the first call; nil means that all are the same.
	Owner func(context.Context) string

	mu            sync.Mutex
	sessions      map[string]*session
	perRepository map[ref.Name]int
}

// New returns the manager of the sessions that are open in store. Those that
// cannot be taken up again are removed.
func New(ctx context.Context, store *cas.Store, commit Commit, limits Limits) (*Manager, error) {
	m := &Manager{
		store: store, commit: commit, limits: limits.withDefaults(),
		sessions: map[string]*session{}, perRepository: map[ref.Name]int{},
	}
	for id, err := range store.Writers(ctx) {
		if err != nil {
			return nil, err
		}
		if err := m.load(ctx, id); err != nil && !errors.Is(err, bucket.ErrNotExist) {
			return nil, err
		}
	}
	return m, nil
}

func (m *Manager) load(ctx context.Context, id string) error {
	w, err := m.store.OpenWriter(ctx, id)
	if err != nil {
		return err
	}
	var n note
	if json.Unmarshal(w.Note(), &n) != nil || n.Repository.IsZero() {
		return w.Cancel(ctx)
	}
	m.sessions[id] = newSession(id, n, w.Size())
	m.perRepository[n.Repository]++
	return w.Close()
}

func (m *Manager) owner(ctx context.Context) string {
	if m.Owner == nil {
		return ""
	}
	return m.Owner(ctx)
}

// Start opens a session in a repository; the digest will be of the algorithm a.
// ErrTooMany.
func (m *Manager) Start(ctx context.Context, name ref.Name, a digest.Algorithm) (Status, error) {
	n := note{Repository: name, Owner: m.owner(ctx), Touched: time.Now()}
	s := newSession(newID(), n, 0)
	m.mu.Lock()
	if len(m.sessions) >= m.limits.Sessions || m.perRepository[name] >= m.limits.PerRepository {
		m.mu.Unlock()
		return Status{}, ErrTooMany
	}
	m.sessions[s.id] = s
	m.perRepository[name]++
	m.mu.Unlock()

	w, err := m.store.NewWriter(ctx, s.id, a, n.encode())
	if err != nil {
		m.forget(s)
		return Status{}, err
	}
	return Status{ID: s.id}, w.Close()
}

// Status says how far a session has come. It does not wait for a request that is
// adding to it. ErrUnknown.
func (m *Manager) Status(ctx context.Context, name ref.Name, id string) (Status, error) {
	s, err := m.find(ctx, name, id)
	if err != nil {
		return Status{}, err
	}
	return m.status(s), nil
}

func (m *Manager) status(s *session) Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Status{s.id, s.size}
}

// Append adds the bytes of r at offset, or AtEnd. What arrived is kept also if r
// fails half-way (bucket.ErrSource). The Status is right with every error but
// ErrUnknown.
func (m *Manager) Append(ctx context.Context, name ref.Name, id string, offset int64, r io.Reader) (Status, error) {
	s, w, err := m.take(ctx, name, id)
	if err != nil {
		return m.known(s, err)
	}
	if err := m.receive(ctx, s, w, offset, r); err != nil {
		return m.status(s), err
	}
	err = m.save(ctx, s, w)
	m.give(ctx, s, w)
	if err == nil && m.isOver(s) {
		err = ErrUnknown
	}
	return m.status(s), err
}

// known adds a status to an error of take, if there is a session at all.
func (m *Manager) known(s *session, err error) (Status, error) {
	if s == nil {
		return Status{}, err
	}
	if errors.Is(err, bucket.ErrNotExist) {
		m.forget(s) // its bytes were damaged, and are gone
		return Status{}, ErrUnknown
	}
	return m.status(s), err
}

func (m *Manager) isOver(s *session) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return s.over
}

// receive adds the bytes of r to w. After an error it has given the session's
// turn back: with what arrived kept, or ended where keeping it makes no sense.
func (m *Manager) receive(ctx context.Context, s *session, w *cas.Writer, offset int64, r io.Reader) error {
	if offset == AtEnd {
		offset = w.Size()
	}
	if offset != w.Size() {
		m.give(ctx, s, w)
		return ErrOffset
	}
	limited := &limitedReader{r: r, left: m.limits.Blob - w.Size()}
	_, err := w.Append(ctx, offset, limited)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrTooLarge), errors.Is(err, bucket.ErrFull):
		return errors.Join(err, m.end(ctx, s, w))
	}
	saveErr := m.save(ctx, s, w)
	m.give(ctx, s, w)
	return errors.Join(err, saveErr)
}

// limitedReader fails with ErrTooLarge where more than left bytes come.
type limitedReader struct {
	r    io.Reader
	left int64
}

func (l *limitedReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n, ErrTooLarge
	}
	return n, err
}

// Finish adds the last bytes, if r has any, and publishes the blob as d. If its
// digest is another one (digest.ErrMismatch) the session is over; after other
// errors it goes on, as with Append.
func (m *Manager) Finish(ctx context.Context, name ref.Name, id string, d digest.Digest, offset int64, r io.Reader) (Status, error) {
	s, w, err := m.take(ctx, name, id)
	if err != nil {
		return m.known(s, err)
	}
	w.Expect(d.Algorithm())
	if err := m.receive(ctx, s, w, offset, r); err != nil {
		return m.status(s), err
	}
	if m.isOver(s) {
		return Status{}, errors.Join(ErrUnknown, m.end(ctx, s, w))
	}
	size := w.Size()
	switch err := m.commit(ctx, name, w, d); {
	case err == nil:
		m.end(ctx, s, w)
		return Status{id, size}, nil
	case errors.Is(err, digest.ErrMismatch), errors.Is(err, bucket.ErrFull):
		return Status{}, errors.Join(err, m.end(ctx, s, w))
	default:
		saveErr := m.save(ctx, s, w)
		m.give(ctx, s, w)
		return m.status(s), errors.Join(err, saveErr)
	}
}

// Put is Start and Finish in one. Nothing is kept after an error.
func (m *Manager) Put(ctx context.Context, name ref.Name, d digest.Digest, r io.Reader) error {
	status, err := m.Start(ctx, name, d.Algorithm())
	if err != nil {
		return err
	}
	if _, err := m.Finish(ctx, name, status.ID, d, 0, r); err != nil {
		if cancelErr := m.Cancel(ctx, name, status.ID); !errors.Is(cancelErr, ErrUnknown) {
			err = errors.Join(err, cancelErr)
		}
		return err
	}
	return nil
}

// Cancel ends a session. The bytes are freed at once, or by the request that is
// adding to it, which then fails. ErrUnknown.
func (m *Manager) Cancel(ctx context.Context, name ref.Name, id string) error {
	s, err := m.find(ctx, name, id)
	if err != nil {
		return err
	}
	return m.cancel(ctx, s)
}

func (m *Manager) cancel(ctx context.Context, s *session) error {
	m.mu.Lock()
	m.drop(s)
	select {
	case <-s.turn:
		m.mu.Unlock()
	default:
		m.mu.Unlock()
		return nil
	}
	defer func() { s.turn <- struct{}{} }()
	w, err := m.store.OpenWriter(context.WithoutCancel(ctx), s.id)
	if errors.Is(err, bucket.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.Cancel(context.WithoutCancel(ctx))
}

// Run expires idle sessions until ctx ends.
func (m *Manager) Run(ctx context.Context) {
	tick := time.NewTicker(max(m.limits.Idle/16, time.Second))
	defer tick.Stop()
	for {
		m.Expire(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Expire ends the sessions that have been idle for longer than the limit, and
// returns how many there were. One that a request is adding to is not idle.
func (m *Manager) Expire(ctx context.Context) int {
	m.mu.Lock()
	var idle []*session
	for _, s := range m.sessions {
		if len(s.turn) == 1 && time.Since(s.Touched) > m.limits.Idle {
			idle = append(idle, s)
		}
	}
	m.mu.Unlock()
	for _, s := range idle {
		m.cancel(ctx, s)
	}
	return len(idle)
}
