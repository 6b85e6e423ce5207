package upload_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step4-upload/upload"
)

// Every way in which a session ends makes room for another one.
func TestLimitsOfSessions(t *testing.T) {
	ends := []struct {
		name string
		end  func(m *upload.Manager, name ref.Name, id string) error
		want error
	}{
		{"cancel", func(m *upload.Manager, name ref.Name, id string) error {
			return m.Cancel(t.Context(), name, id)
		}, nil},
		{"finish", func(m *upload.Manager, name ref.Name, id string) error {
			_, err := m.Finish(t.Context(), name, id, sha256Of("x"), 0, strings.NewReader("x"))
			return err
		}, nil},
		{"mismatch", func(m *upload.Manager, name ref.Name, id string) error {
			_, err := m.Finish(t.Context(), name, id, sha256Of("x"), 0, strings.NewReader("y"))
			return err
		}, digest.ErrMismatch},
		{"too large", func(m *upload.Manager, name ref.Name, id string) error {
			_, err := m.Append(t.Context(), name, id, 0, strings.NewReader("more than ten"))
			return err
		}, upload.ErrTooLarge},
	}
	open := func(t *testing.T, m *upload.Manager, name ref.Name, want error) string {
		t.Helper()
		status, err := m.Start(t.Context(), name, digest.SHA256)
		if !errors.Is(err, want) {
			t.Errorf("Start in %s: %v, want %v", name, err, want)
		}
		return status.ID
	}
	for _, tt := range ends {
		t.Run(tt.name, func(t *testing.T) {
			m := manage(t, mem.New(), upload.Limits{Sessions: 3, PerRepository: 2, Blob: 10})
			first := open(t, m, repoA, nil)
			open(t, m, repoA, nil)
			open(t, m, repoA, upload.ErrTooMany)
			other := open(t, m, repoB, nil)
			open(t, m, repoB, upload.ErrTooMany)
			if n := m.Open(); n != 3 {
				t.Errorf("%d are open", n)
			}
			wantError(t, m.Put(t.Context(), repoB, sha256Of("x"), strings.NewReader("x")), upload.ErrTooMany)

			wantError(t, tt.end(m, repoA, first), tt.want)
			open(t, m, repoA, nil)
			open(t, m, repoA, upload.ErrTooMany)
			wantError(t, tt.end(m, repoB, other), tt.want)
			open(t, m, repoA, upload.ErrTooMany)
			open(t, m, repoB, nil)
		})
	}
}

type callerKey struct{}

func as(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, callerKey{}, who)
}

func caller(ctx context.Context) string {
	who, _ := ctx.Value(callerKey{}).(string)
	return who
}

// Who does not own a session, or looks for it in another repository, learns as
// much as if there were none, and changes nothing; also after a restart.
func TestOwner(t *testing.T) {
	callers := []struct{ name, who, repository string }{
		{"another owner", "bob", "team/a"},
		{"nobody", "", "team/a"},
		{"another repository", "alice", "team/b"},
		{"both", "bob", "team/b"},
	}
	each(t, func(t *testing.T, b bucket.Bucket) {
		m := manage(t, b, upload.Limits{})
		m.Owner = caller
		alice := as(t.Context(), "alice")
		status, err := m.Start(alice, repoA, digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		id := status.ID
		if _, err := m.Append(alice, repoA, id, 0, strings.NewReader("hello")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			for _, tt := range callers {
				ctx, name := as(t.Context(), tt.who), mustName(tt.repository)
				body := strings.NewReader("x")
				for operation, do := range map[string]func() (upload.Status, error){
					"Status": func() (upload.Status, error) { return m.Status(ctx, name, id) },
					"Append": func() (upload.Status, error) { return m.Append(ctx, name, id, upload.AtEnd, body) },
					"Finish": func() (upload.Status, error) {
						return m.Finish(ctx, name, id, sha256Of("hello"), upload.AtEnd, empty)
					},
					"Cancel": func() (upload.Status, error) { return upload.Status{}, m.Cancel(ctx, name, id) },
				} {
					if status, err := do(); err != upload.ErrUnknown || status != (upload.Status{}) {
						t.Errorf("%s: %s: %+v, %v; want nothing but ErrUnknown", tt.name, operation, status, err)
					}
				}
				if body.Len() != 1 {
					t.Errorf("%s: the body was read", tt.name)
				}
				if status, err := m.Status(alice, repoA, id); err != nil || status.Size != 5 {
					t.Errorf("%s: the session is at %+v, %v", tt.name, status, err)
				}
			}
			m = manage(t, b, upload.Limits{})
			m.Owner = caller
		}
		if _, err := m.Finish(alice, repoA, id, sha256Of("hello"), 5, empty); err != nil {
			t.Error(err)
		}
	})
}

func TestUnknown(t *testing.T) {
	m := manage(t, mem.New(), upload.Limits{})
	for _, id := range []string{"", ".", "../x", "c29ff7b2-1f0c-4b6e-8f0d-1f8f0a9d3b11"} {
		_, err := m.Append(t.Context(), repoA, id, 0, empty)
		wantError(t, err, upload.ErrUnknown)
		wantUnknown(t, m, id)
	}
}

const idle = time.Hour

func TestExpire(t *testing.T) {
	uses := []struct {
		name string
		use  func(t *testing.T, m *upload.Manager, id string)
	}{
		{"started", nil},
		{"appended to", func(t *testing.T, m *upload.Manager, id string) { mustAppend(t, m, id, 0, "x") }},
		{"cut", func(t *testing.T, m *upload.Manager, id string) { m.Append(t.Context(), repoA, id, 0, cut("x")) }},
		{"asked about", func(t *testing.T, m *upload.Manager, id string) { wantSize(t, m, id, 0) }},
		{"wrong offset", func(t *testing.T, m *upload.Manager, id string) { m.Append(t.Context(), repoA, id, 9, empty) }},
	}
	for _, tt := range uses {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := mem.New()
				m := manage(t, b, upload.Limits{Idle: idle})
				id := start(t, m)
				if tt.use != nil {
					<-time.After(idle)
					tt.use(t, m, id)
				}
				<-time.After(idle)
				if n := m.Expire(t.Context()); n != 0 {
					t.Errorf("%d expired before their time", n)
				}
				<-time.After(1)
				if n := m.Expire(t.Context()); n != 1 {
					t.Errorf("%d expired, want 1", n)
				}
				wantUnknown(t, m, id)
				wantFreed(t, b)
				if n := m.Expire(t.Context()); n != 0 {
					t.Errorf("%d expired twice", n)
				}
			})
		})
	}
}

// A new process knows how long a session has been idle.
func TestExpireAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mem.New()
		id := startClosed(t, manage(t, b, upload.Limits{}))
		slow := io.MultiReader(strings.NewReader("x"), pause(idle))
		if _, err := manage(t, b, upload.Limits{}).Append(t.Context(), repoA, id, 0, slow); err != nil {
			t.Fatal(err)
		}
		<-time.After(idle)
		m := manage(t, b, upload.Limits{Idle: idle})
		if n := m.Expire(t.Context()); n != 0 {
			t.Errorf("%d expired before their time", n)
		}
		<-time.After(1)
		if n := m.Expire(t.Context()); n != 1 {
			t.Errorf("%d expired, want 1", n)
		}
		wantFreed(t, b)
	})
}

// A slow body is not idleness, however slow it is.
func TestExpireDuringAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mem.New()
		m := manage(t, b, upload.Limits{Idle: idle})
		id := start(t, m)
		r, w := io.Pipe()
		done := make(chan error)
		go func() {
			_, err := m.Append(t.Context(), repoA, id, 0, r)
			done <- err
		}()
		for _, c := range "slow" {
			<-time.After(2 * idle)
			if n := m.Expire(t.Context()); n != 0 {
				t.Errorf("%d expired in use", n)
			}
			io.WriteString(w, string(c))
		}
		w.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := m.Expire(t.Context()); n != 0 {
			t.Errorf("%d expired just after use", n)
		}
		mustFinish(t, m, b, id, "", "slow")
	})
}

// Run expires in time what is idle, and ends with its context: the bubble waits
// for its goroutine.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mem.New()
		m := manage(t, b, upload.Limits{Idle: idle})
		ctx, cancel := context.WithCancel(t.Context())
		go m.Run(ctx)
		gone, used := start(t, m), start(t, m)
		<-time.After(idle * 3 / 4)
		mustAppend(t, m, used, 0, "x")
		<-time.After(idle / 2)
		wantUnknown(t, m, gone)
		wantSize(t, m, used, 1)
		cancel()
		<-time.After(10 * idle)
		wantSize(t, m, used, 1)
	})
}

// What was idle for too long while no process ran goes at once.
func TestRunAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mem.New()
		start(t, manage(t, b, upload.Limits{}))
		<-time.After(2 * idle)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go manage(t, b, upload.Limits{Idle: idle}).Run(ctx)
		synctest.Wait()
		wantFreed(t, b)
	})
}

// What one owner has open keeps nobody else from opening more; also after a restart.
func TestSessionsOfAnOwner(t *testing.T) {
	b := mem.New()
	var m *upload.Manager
	open := func() {
		m = manage(t, b, upload.Limits{PerOwner: 2})
		m.Owner = caller
	}
	start := func(who string, want error) string {
		t.Helper()
		status, err := m.Start(as(t.Context(), who), repoA, digest.SHA256)
		wantError(t, err, want)
		return status.ID
	}
	open()
	first := start("alice", nil)
	_, err := m.Append(as(t.Context(), "alice"), repoA, first, 0, strings.NewReader("x"))
	wantError(t, err, nil)
	start("alice", nil)
	start("alice", upload.ErrTooMany)
	start("bob", nil)
	for range 5 {
		start("", nil)
	}
	open() // what got no bytes is gone
	start("alice", nil)
	start("alice", upload.ErrTooMany)
	wantError(t, m.Cancel(as(t.Context(), "alice"), repoA, first), nil)
	start("alice", nil)
}
