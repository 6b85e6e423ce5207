package auth_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/password"
)

func TestVerify(t *testing.T) {
	w := newWorld(t)
	w.opts.Htpasswd = filepath.Join(t.TempDir(), "htpasswd")
	w.write(w.opts.Htpasswd, "bob:"+bcrypt+"\nalice:"+strings.Replace(bcrypt, "cUs9", "cUs8", 1)+"\n")
	secret := w.addRobot("ci", time.Time{})
	a := w.open()
	tests := []struct {
		name, user, secret string
		want               error
		kind               auth.Kind
		groups             []string
		kdfs               int64
	}{
		{"user", "alice", horse, nil, auth.User, []string{"all", "team"}, 1},
		{"user of htpasswd", "bob", horse, nil, auth.User, nil, 1},
		{"wrong password", "alice", "battery", auth.ErrCredentials, "", nil, 1},
		{"unknown user", "eve", horse, auth.ErrCredentials, "", nil, 1},
		{"disabled user", "off", horse, auth.ErrCredentials, "", nil, 1},
		{"no user", "", horse, auth.ErrCredentials, "", nil, 1},
		{"user in other letters", "Alice", horse, auth.ErrCredentials, "", nil, 1},
		{"empty password", "alice", "", auth.ErrCredentials, "", nil, 0},
		{"empty password, unknown user", "eve", "", auth.ErrCredentials, "", nil, 0},
		{"long password", "alice", strings.Repeat("x", 1000), auth.ErrCredentials, "", nil, 0},
		{"hash as password", "alice", horseHash, auth.ErrCredentials, "", nil, 1},
		{"robot", "robot$ci", secret, nil, auth.Robot, []string{"team"}, 0},
		{"robot, wrong secret", "robot$ci", secret + "x", auth.ErrCredentials, "", nil, 0},
		{"robot, empty secret", "robot$ci", "", auth.ErrCredentials, "", nil, 0},
		{"unknown robot", "robot$xx", secret, auth.ErrCredentials, "", nil, 0},
		{"robot as a user", "ci", secret, auth.ErrCredentials, "", nil, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := w.kdfs.Load()
			id, err := a.Verify(t.Context(), tt.user, tt.secret)
			if !errors.Is(err, tt.want) || id.Kind != tt.kind || !slices.Equal(id.Groups, tt.groups) {
				t.Errorf("Verify = %+v, %v; want %v", id, err, tt.want)
			}
			if n := w.kdfs.Load() - before; n != tt.kdfs {
				t.Errorf("%d passwords were tried, want %d", n, tt.kdfs)
			}
		})
	}
}

// Nothing matches for somebody who is not there, not even the password of who stands in.
func TestStandInLetsNobodyIn(t *testing.T) {
	w := newWorld(t)
	w.edit(func(d *auth.Directory) error { delete(d.Users, "off"); return nil })
	if id, err := w.open().Verify(t.Context(), "eve", horse); !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("Verify = %+v, %v", id, err)
	}
}

func TestWorkWithoutUsers(t *testing.T) {
	w := newWorld(t)
	w.opts.File += ".none"
	w.opts.Matches = func(h password.Hash, secret string) bool {
		w.kdfs.Add(1)
		if !strings.HasPrefix(h.String(), "$pbkdf2-sha256$600000$") {
			t.Errorf("tried %v", h)
		}
		return false
	}
	a := w.open()
	if _, err := a.Verify(t.Context(), "eve", horse); !errors.Is(err, auth.ErrCredentials) || w.kdfs.Load() != 1 {
		t.Errorf("%v after %d attempts", err, w.kdfs.Load())
	}
}

func TestRightPasswordsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.open()
		verify := func(secret string, want error, kdfs int64, reason string) {
			t.Helper()
			before := w.kdfs.Load()
			if _, err := a.Verify(t.Context(), "alice", secret); !errors.Is(err, want) || w.kdfs.Load()-before != kdfs {
				t.Fatalf("%v after %d attempts, want %v after %d: %s", err, w.kdfs.Load()-before, want, kdfs, reason)
			}
		}
		verify(horse, nil, 1, "the first time")
		verify(horse, nil, 0, "remembered")
		verify("battery", auth.ErrCredentials, 1, "another one is tried")
		verify("battery", auth.ErrCredentials, 1, "a wrong one is not remembered")
		time.Sleep(auth.DefaultRemember)
		verify(horse, nil, 1, "forgotten")
		w.setPassword("alice", "battery")
		if err := a.Poll(); err != nil {
			t.Fatal(err)
		}
		verify(horse, auth.ErrCredentials, 1, "the password has changed")
		verify("battery", nil, 1, "the new one")
		w.edit(func(d *auth.Directory) error { return d.RemoveUser("alice") })
		if err := a.Poll(); err != nil {
			t.Fatal(err)
		}
		verify("battery", auth.ErrCredentials, 1, "the user is gone")
	})
}

func TestTooManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := make(chan bool)
		w.opts.Concurrent, w.opts.Waiting, w.opts.Patience = 1, 1, time.Second
		w.opts.Matches = func(password.Hash, string) bool { return <-hold }
		a := w.open()
		verify := func(ctx context.Context) chan error {
			done := make(chan error, 1)
			go func() { _, err := a.Verify(ctx, "alice", horse); done <- err }()
			synctest.Wait()
			return done
		}
		first := verify(t.Context())
		second := verify(t.Context())
		if n := a.Waiting(); n != 1 {
			t.Errorf("%d are waiting", n)
		}
		if err := <-verify(t.Context()); !errors.Is(err, auth.ErrBusy) {
			t.Errorf("with one too many in the queue: %v", err)
		}
		begin := time.Now()
		if err := <-second; !errors.Is(err, auth.ErrBusy) || time.Since(begin) != time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		third := verify(ctx)
		cancel()
		if err := <-third; !errors.Is(err, context.Canceled) {
			t.Errorf("of who has left: %v", err)
		}
		fourth := verify(t.Context())
		hold <- true // for both: it is the same password
		if err := errors.Join(<-first, <-fourth); err != nil {
			t.Error(err)
		}
	})
}

type sourceKey struct{}

func sourceOf(ctx context.Context) string {
	source, _ := ctx.Value(sourceKey{}).(string)
	return source
}

// One that tries many passwords makes itself wait, and nobody else.
func TestSourcesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.opts.Concurrent, w.opts.Waiting, w.opts.Patience = 1, 100, time.Minute
		w.opts.Source = sourceOf
		w.opts.Matches = func(password.Hash, string) bool { time.Sleep(100 * time.Millisecond); return false }
		a := w.open()
		done := make(chan error, 200)
		try := func(source string) {
			_, err := a.Verify(context.WithValue(t.Context(), sourceKey{}, source), "alice", horse)
			done <- err
		}
		for range 200 {
			go try("flood")
		}
		synctest.Wait()
		begin := time.Now()
		try("somebody")
		if took := time.Since(begin); took > 300*time.Millisecond {
			t.Errorf("somebody else waited for %v", took)
		}
		busy := 0
		for range 201 {
			if errors.Is(<-done, auth.ErrBusy) {
				busy++
			}
		}
		if busy != 200-51 {
			t.Errorf("%d of the flood were sent away, want all but the one at work and half of those who may wait", busy)
		}
	})
}

// Many sources that guess make each other wait, but not those whose passwords are right.
func TestTrustedSourcesComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.opts.Concurrent, w.opts.Waiting, w.opts.Patience, w.opts.Remember = 1, 100, time.Minute, 1
		w.opts.Matches = func(_ password.Hash, secret string) bool { time.Sleep(100 * time.Millisecond); return secret == horse }
		w.opts.Source = sourceOf
		a := w.open()
		try := func(source, secret string) (time.Duration, error) {
			begin := time.Now()
			_, err := a.Verify(context.WithValue(t.Context(), sourceKey{}, source), "alice", secret)
			return time.Since(begin), err
		}
		wants := func(source string, most time.Duration, reason string) {
			t.Helper()
			if took, err := try(source, horse); err != nil || took > most {
				t.Errorf("%v after %v, want %v at most: %s", err, took, most, reason)
			}
		}
		wants("office", 100*time.Millisecond, "nobody else is there")
		time.Sleep(1) // forgotten
		var flood sync.WaitGroup
		for i := range 50 {
			flood.Go(func() {
				for range 10 {
					try(fmt.Sprint("address ", i), "guess")
				}
			})
		}
		synctest.Wait()
		wants("office", 100*time.Millisecond, "its last password was right, and of the others nothing is known")
		time.Sleep(50 * 100 * time.Millisecond) // each of them was wrong by then
		wants("home", 200*time.Millisecond, "nothing is known of it, and the others' last passwords were wrong")
		wants("address 1", time.Minute, "whoever was wrong waits for the others like it")
		flood.Wait()
	})
}

// Many who come with the same password at once are one's work.
func TestSamePasswordAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.opts.Concurrent = 1
		a := w.open()
		done := make(chan error)
		for range 50 {
			go func() { _, err := a.Verify(t.Context(), "alice", horse); done <- err }()
		}
		for range 50 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := w.kdfs.Load(); n != 1 {
			t.Errorf("%d passwords were tried", n)
		}
	})
}

// attempts lets nobody in after two that failed.
type attempts struct{ begun, failed int }

var errSlow = errors.New("slow down")

func (a *attempts) Attempt(context.Context) (done func(succeeded bool), err error) {
	if a.begun++; a.failed >= 2 {
		return nil, errSlow
	}
	return func(succeeded bool) {
		if !succeeded {
			a.failed++
		}
	}, nil
}

func TestAttempts(t *testing.T) {
	w := newWorld(t)
	limit := &attempts{}
	w.opts.Attempts = limit
	secret := w.addRobot("ci", time.Time{})
	a := w.open()
	for _, step := range []struct {
		user, secret string
		want         error
	}{
		{"alice", horse, nil}, {"robot$ci", secret, nil},
		{"eve", horse, auth.ErrCredentials}, {"robot$ci", "x", auth.ErrCredentials},
		{"alice", horse, nil}, // remembered, so nothing is tried
		{"alice", "battery", errSlow}, {"robot$ci", secret, errSlow},
	} {
		if _, err := a.Verify(t.Context(), step.user, step.secret); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", step.user, err, step.want)
		}
	}
	if limit.begun != 6 || limit.failed != 2 {
		t.Errorf("%+v", limit)
	}
}
