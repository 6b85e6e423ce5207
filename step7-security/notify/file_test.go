package notify_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step7-security/notify"
)

// Who is told is what the file says now, as long as it can be read.
func TestFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "webhooks.json")
		write := func(text string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(oneTarget)
		f, err := notify.OpenFile(t.Context(), path, notify.Options{Bucket: mem.New(), Sender: &sender{}})
		if err != nil {
			t.Fatal(err)
		}
		want := func(what string, bad bool, names ...string) {
			t.Helper()
			var got []string
			for _, s := range f.Status() {
				got = append(got, s.Target)
			}
			if !slices.Equal(got, names) || errors.Is(f.Err(), notify.ErrConfig) != bad {
				t.Errorf("%s: targets %q, %v; want %q", what, got, f.Err(), names)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); f.Run(ctx, time.Second, slog.New(slog.DiscardHandler)) }()
		want("at first", false, "ci")
		write(`{"targets": [{"name": "a", "url": "https://a.test"}, {"name": "b", "url": "https://b.test"}]}`)
		time.Sleep(2 * time.Second)
		want("changed", false, "a", "b")
		write(`{"targets": [{"name": "a"}]}`)
		time.Sleep(2 * time.Second)
		want("bad", true, "a", "b")
		if err := f.Reload(ctx); !errors.Is(err, notify.ErrConfig) {
			t.Errorf("reloading a bad file: %v", err)
		}
		write(`{"targets": [{"name": "c", "url": "https://c.test"}]}`)
		if err := f.Reload(ctx); err != nil {
			t.Errorf("reloading: %v", err)
		}
		want("reloaded", false, "c")
		cancel()
		<-ended
	})
}

// Without a file nobody is told, and nothing is left of who was.
func TestNoFile(t *testing.T) {
	b := mem.New()
	if err := b.Write(t.Context(), bucket.Change{Key: "shibafu/queues/ci/20000101T000000.000000000Z-000000", Data: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	f, err := notify.OpenFile(t.Context(), "", notify.Options{Bucket: b})
	if err != nil || f.Reload(t.Context()) != nil || f.Err() != nil || len(f.Status()) != 0 {
		t.Errorf("%v, %v", err, f.Status())
	}
	for info := range b.List(t.Context(), "", "", false) {
		t.Errorf("left: %s", info.Key)
	}
	if _, err := notify.OpenFile(t.Context(), filepath.Join(t.TempDir(), "none"), notify.Options{Bucket: b}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
