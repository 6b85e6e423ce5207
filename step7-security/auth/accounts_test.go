package auth_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/password"
)

// world is a folder with the files of accounts.
type world struct {
	t    *testing.T
	opts auth.Options
	kdfs atomic.Int64 // how many passwords were tried
}

func newWorld(t *testing.T) *world {
	folder := t.TempDir()
	w := &world{t: t}
	w.opts = auth.Options{
		File: filepath.Join(folder, "users.json"),
		Log:  slog.New(slog.NewTextHandler(t.Output(), nil)),
		Matches: func(h password.Hash, secret string) bool {
			w.kdfs.Add(1)
			return h.Matches(secret)
		},
	}
	w.edit(func(d *auth.Directory) error {
		d.Users = map[string]auth.UserEntry{"alice": {Password: horseHash}, "off": {Password: horseHash, Disabled: true}}
		return errors.Join(d.Join("team", "alice"), d.Join("all", "alice"), d.Join("team", "robot$ci"))
	})
	return w
}

func (w *world) edit(change func(d *auth.Directory) error) {
	w.t.Helper()
	if err := auth.Edit(w.opts.File, change); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) setPassword(user, secret string) {
	w.t.Helper()
	h, err := password.Make(secret, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	w.edit(func(d *auth.Directory) error { return d.SetUser(user, h) })
}

func (w *world) addRobot(name string, expires time.Time) (secret string) {
	w.t.Helper()
	w.edit(func(d *auth.Directory) (err error) {
		secret, err = d.AddRobot(name, "", expires)
		return err
	})
	return secret
}

func (w *world) write(path, text string) {
	w.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) open() *auth.Accounts {
	w.t.Helper()
	a, err := auth.Open(w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func TestPollKeepsTheLastGoodFiles(t *testing.T) {
	w := newWorld(t)
	a := w.open()
	verify := func(want error) {
		t.Helper()
		if _, err := a.Verify(t.Context(), "alice", horse); !errors.Is(err, want) {
			t.Fatalf("Verify: %v, want %v", err, want)
		}
	}
	good, err := os.ReadFile(w.opts.File)
	if err != nil {
		t.Fatal(err)
	}
	w.write(w.opts.File, "{\n\"users\": {")
	for range 2 {
		if err := a.Poll(); !errors.Is(err, auth.ErrDirectory) || !strings.Contains(err.Error(), w.opts.File) {
			t.Fatalf("Poll = %v", err)
		}
		if err := a.Err(); !errors.Is(err, auth.ErrDirectory) {
			t.Errorf("Err = %v", err)
		}
		verify(nil)
	}
	if err := os.Remove(w.opts.File); err != nil {
		t.Fatal(err)
	}
	if err := a.Poll(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Poll = %v", err)
	}
	verify(nil)
	w.write(w.opts.File, string(good))
	if err := a.Poll(); err != nil || a.Err() != nil {
		t.Fatalf("mended, but %v, %v", err, a.Err())
	}
	w.write(w.opts.File, "{}")
	if err := a.Poll(); err != nil {
		t.Fatal(err)
	}
	verify(auth.ErrCredentials)
}

func TestOpenRefusesBadFiles(t *testing.T) {
	w := newWorld(t)
	w.opts.Htpasswd = filepath.Join(t.TempDir(), "htpasswd")
	if _, err := auth.Open(w.opts); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no htpasswd file: %v", err)
	}
	w.write(w.opts.Htpasswd, "a b:"+bcrypt)
	if _, err := auth.Open(w.opts); !errors.Is(err, password.ErrHtpasswd) {
		t.Errorf("a user with a space: %v", err)
	}
	w.write(w.opts.Htpasswd, "")
	w.write(w.opts.File, "")
	if _, err := auth.Open(w.opts); !errors.Is(err, auth.ErrDirectory) {
		t.Errorf("an empty file of users: %v", err)
	}
}

// Of a name in both files, that of users counts.
func TestHtpasswdUsers(t *testing.T) {
	w := newWorld(t)
	w.opts.Htpasswd = filepath.Join(t.TempDir(), "htpasswd")
	w.write(w.opts.Htpasswd, "zoe:"+bcrypt+"\nalice:"+bcrypt+"\nbob:"+bcrypt+"\n")
	if got, want := w.open().HtpasswdUsers(), []string{"bob", "zoe"}; !slices.Equal(got, want) {
		t.Errorf("HtpasswdUsers = %v, want %v", got, want)
	}
}

func TestRobots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.opts.UseFile = filepath.Join(t.TempDir(), "uses.json")
		secret := w.addRobot("ci", time.Now().Add(time.Hour))
		a := w.open()
		if !a.LastUse("ci").IsZero() {
			t.Error("used before")
		}
		time.Sleep(time.Minute)
		if id, err := a.Verify(t.Context(), "robot$ci", secret); err != nil || id.Expires.IsZero() {
			t.Errorf("Verify = %+v, %v", id, err)
		}
		used := time.Now().UTC().Truncate(time.Second)
		if err := a.SaveUses(); err != nil {
			t.Fatal(err)
		}
		if again := w.open(); !again.LastUse("ci").Equal(used) {
			t.Errorf("last used %v, want %v", again.LastUse("ci"), used)
		}
		time.Sleep(time.Hour)
		if _, err := a.Verify(t.Context(), "robot$ci", secret); !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("expired: %v", err)
		}
	})
}

// What is known of last uses never keeps a registry from starting.
func TestBadLastUses(t *testing.T) {
	w := newWorld(t)
	w.opts.UseFile = filepath.Join(t.TempDir(), "uses.json")
	w.write(w.opts.UseFile, `{"ci": "2026-01-01T00:00:00Z", "cj": 1}`)
	secret := w.addRobot("ci", time.Time{})
	a := w.open()
	if !a.LastUse("ci").IsZero() {
		t.Error("a part of it is believed")
	}
	w.login(a, "robot$ci", secret)
	if err := a.SaveUses(); err != nil {
		t.Fatal(err)
	}
	if w.open().LastUse("ci").IsZero() {
		t.Error("it is not mended")
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.open()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { a.Watch(ctx, 0); close(done) }()
		w.edit(func(d *auth.Directory) error { return d.Leave("all", "alice") })
		time.Sleep(auth.DefaultInterval)
		synctest.Wait()
		if groups := a.GroupsOf("alice"); !slices.Equal(groups, []string{"team"}) {
			t.Errorf("groups %v", groups)
		}
		cancel()
		<-done
	})
}
