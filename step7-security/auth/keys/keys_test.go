package keys_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step7-security/auth/jwt"
	"shibafu.dev/step7-security/auth/keys"
)

func open(t *testing.T, folder string) *keys.Store {
	t.Helper()
	s, err := keys.Open(folder, keys.Options{Rotate: 10 * time.Hour, Keep: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sign(t *testing.T, s *keys.Store) string {
	t.Helper()
	token, err := s.Signer().Sign("JWT", map[string]any{"iss": "us", "aud": "r", "exp": time.Now().Add(100 * time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func verify(s *keys.Store, token string) error {
	_, err := s.Verify(token, jwt.Want{Type: "JWT", Issuer: "us", Audience: "r", Now: time.Now()})
	return err
}

func TestKeysStay(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "keys")
	first := open(t, folder)
	second := open(t, folder)
	if err := verify(second, sign(t, first)); err != nil {
		t.Error(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir())
		old := sign(t, s)
		time.Sleep(10*time.Hour - time.Second)
		poll(t, s, 1, "not yet time")
		time.Sleep(time.Second)
		poll(t, s, 2, "time for a new key")
		if fresh := sign(t, s); verify(s, fresh) != nil || verify(s, old) != nil {
			t.Error("a token does not verify")
		}
		time.Sleep(time.Hour - time.Second)
		poll(t, s, 2, "old tokens may still live")
		time.Sleep(time.Second)
		poll(t, s, 1, "all that the old key signed is over")
		if err := verify(s, old); !errors.Is(err, jwt.ErrUnknownKey) {
			t.Errorf("a token of the removed key: %v", err)
		}
	})
}

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir())
		began := time.Now()
		time.Sleep(time.Minute)
		if err := s.Rotate(); err != nil {
			t.Fatal(err)
		}
		list := s.List()
		if len(list) != 2 || list[0].ID != s.Signer().Key().ID() || !list[0].Signs || list[1].Signs ||
			list[0].Algorithm != jwt.EdDSA || !list[0].Made.Equal(began.Add(time.Minute)) || !list[1].Made.Equal(began) {
			t.Errorf("List = %+v", list)
		}
	})
}

func poll(t *testing.T, s *keys.Store, want int, reason string) {
	t.Helper()
	if err := s.Poll(); err != nil || s.Set().Len() != want {
		t.Fatalf("%d keys, %v; want %d: %s", s.Set().Len(), err, want, reason)
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir())
		first := s.Signer().Key().ID()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.Watch(ctx, time.Minute, slog.New(slog.DiscardHandler)); close(done) }()
		time.Sleep(10*time.Hour + time.Minute)
		synctest.Wait()
		if s.Signer().Key().ID() == first {
			t.Error("the old key signs")
		}
		cancel()
		<-done
	})
}

func TestAnotherProcessRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		one, other := open(t, folder), open(t, folder)
		time.Sleep(time.Minute)
		if err := one.Rotate(); err != nil {
			t.Fatal(err)
		}
		if err := verify(other, sign(t, one)); err != nil {
			t.Errorf("a token by the new key: %v", err)
		}
		if one.Signer().Key().ID() != other.Signer().Key().ID() {
			t.Error("the other one signs with the old key")
		}
	})
}

// Forged tokens cost no more than a look at the folder a second.
func TestUnknownKeysAreLookedForSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		s := open(t, folder)
		stranger := open(t, t.TempDir())
		time.Sleep(time.Minute)
		if err := verify(s, sign(t, stranger)); !errors.Is(err, jwt.ErrUnknownKey) {
			t.Fatal(err)
		}
		other := open(t, folder)
		if err := other.Rotate(); err != nil {
			t.Fatal(err)
		}
		if err := verify(s, sign(t, other)); !errors.Is(err, jwt.ErrUnknownKey) {
			t.Errorf("looked again at once: %v", err)
		}
		time.Sleep(time.Second)
		if err := verify(s, sign(t, other)); err != nil {
			t.Errorf("a second later: %v", err)
		}
	})
}

func TestBadFolder(t *testing.T) {
	tests := []struct {
		name, file, text string
		mode             os.FileMode
	}{
		{"no PEM", "20260101T000000.000000000Z-x.key.pem", "x", 0o600},
		{"no time", "x.key.pem", "x", 0o600},
		{"no key", "20260101T000000.000000000Z-x.key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0o600},
		{"open to others", "20260101T000000.000000000Z-x.key.pem", "x", 0o640},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			s := open(t, folder)
			if err := os.WriteFile(filepath.Join(folder, tt.file), []byte(tt.text), tt.mode); err != nil {
				t.Fatal(err)
			}
			if err := s.Poll(); !errors.Is(err, keys.ErrKeys) {
				t.Errorf("Poll = %v", err)
			}
			if err := verify(s, sign(t, s)); err != nil {
				t.Errorf("the good key does not do any more: %v", err)
			}
			if _, err := keys.Open(folder, keys.Options{}); !errors.Is(err, keys.ErrKeys) {
				t.Errorf("Open = %v", err)
			}
		})
	}
}
