package upload

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
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
	perOwner      map[string]int // without ""
}

// New returns the manager of the sessions that are open in store. Those that
// cannot be taken up again are removed.
func New(ctx context.Context, store *cas.Store, commit Commit, limits Limits) (*Manager, error) {
	m := &Manager{
		store: store, commit: commit, limits: limits.withDefaults(),
		sessions: map[string]*session{}, perRepository: map[ref.Name]int{}, perOwner: map[string]int{},
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
	s := newSession(id, n)
	s.size, s.saved = w.Size(), true
	m.add(s)
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
	now := time.Now()
	n := note{Repository: name, Owner: m.owner(ctx), Started: now, Touched: now}
	s := newSession(newID(), n)
	s.algorithm = a
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sessions) >= m.limits.Sessions || m.perRepository[name] >= m.limits.PerRepository || m.perOwner[n.Owner] >= m.limits.PerOwner {
		return Status{}, ErrTooMany
	}
	m.add(s)
	return s.status(), nil
}

// add lets the session count. mu is held.
func (m *Manager) add(s *session) {
	m.sessions[s.id] = s
	m.perRepository[s.Repository]++
	if s.Owner != "" {
		m.perOwner[s.Owner]++
	}
}

// Status says how far a session has come. It does not wait for a request that is
// adding to it. ErrUnknown.
func (m *Manager) Status(ctx context.Context, name ref.Name, id string) (Status, error) {
	s, err := m.find(ctx, name, id)
	if err != nil {
		return Status{}, err
	}
	status := m.status(s)
	if status.ID == "" { // it ended just now
		return Status{}, ErrUnknown
	}
	return status, nil
}

func (m *Manager) status(s *session) Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return s.status()
}

// Append adds the bytes of r at offset, or AtEnd. What arrived is kept also if r
// fails half-way (bucket.ErrSource). With an error the Status still says how far
// the session has come; it is zero if there is none, or after ErrTooLarge and
// bucket.ErrFull, which end it.
func (m *Manager) Append(ctx context.Context, name ref.Name, id string, offset int64, r io.Reader) (Status, error) {
	s, w, err := m.take(ctx, name, id)
	if err != nil {
		return m.known(s, err)
	}
	if status, err := m.receive(ctx, s, w, offset, r); err != nil {
		return status, err
	}
	status, err := m.keep(ctx, s, w)
	if err == nil && status.ID == "" {
		err = ErrUnknown
	}
	return status, err
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

// receive adds the bytes of r to w. After an error it has given the session's
// turn back: with what arrived kept, or ended where keeping it makes no sense.
func (m *Manager) receive(ctx context.Context, s *session, w *cas.Writer, offset int64, r io.Reader) (Status, error) {
	if offset == AtEnd {
		offset = w.Size()
	}
	if offset != w.Size() {
		return m.give(ctx, s, w), ErrOffset
	}
	_, err := w.Append(ctx, offset, &body{r, m, s, m.limits.Blob - w.Size()})
	switch {
	case err == nil:
		return Status{}, nil
	case errors.Is(err, ErrTooLarge), errors.Is(err, bucket.ErrFull):
		return Status{}, errors.Join(err, m.end(ctx, s, w))
	}
	status, keepErr := m.keep(ctx, s, w)
	return status, errors.Join(err, keepErr)
}

// body is what a request adds to a session. It fails with ErrTooLarge where more
// than left bytes come, and with ErrUnknown once the session is over: a cancelled
// request must not go on filling the disk.
type body struct {
	io.Reader
	manager *Manager
	session *session
	left    int64
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.left -= int64(n)
	switch {
	case b.manager.isOver(b.session):
		return n, ErrUnknown
	case b.left < 0:
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
	if status, err := m.receive(ctx, s, w, offset, r); err != nil {
		return status, err
	}
	size := w.Size()
	switch err := m.commit(ctx, name, w, d); {
	case err == nil:
		m.end(ctx, s, w)
		return Status{id, size}, nil
	case errors.Is(err, digest.ErrMismatch), errors.Is(err, bucket.ErrFull):
		return Status{}, errors.Join(err, m.end(ctx, s, w))
	default:
		status, keepErr := m.keep(ctx, s, w)
		return status, errors.Join(err, keepErr)
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
	return m.stop(ctx, s)
}

// Close keeps the sessions that are in memory alone, as nothing came yet, for the
// next manager of the store. There must be no call under way.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.Lock()
	all := slices.Collect(maps.Values(m.sessions))
	m.mu.Unlock()
	var errs []error
	for _, s := range all {
		if s.saved {
			continue
		}
		w, err := m.open(ctx, s)
		if err == nil {
			err = errors.Join(m.save(ctx, s, w), w.Close())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Open is how many sessions are open.
func (m *Manager) Open() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.sessions)
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
	all := slices.Collect(maps.Values(m.sessions))
	m.mu.Unlock()
	ended := 0
	for _, s := range all {
		// Each is looked at when its turn comes, as a request may have come meanwhile.
		m.mu.Lock()
		idle := len(s.turn) == 1 && time.Since(s.Touched) > m.limits.Idle
		mine := idle && m.claim(s)
		m.mu.Unlock()
		if idle {
			ended++
		}
		if mine {
			m.free(ctx, s)
		}
	}
	return ended
}
