package usage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step7-security/usage"
)

// many are so many blobs of 10 bytes each.
func many(n int) func(context.Context) iter.Seq2[bucket.Info, error] {
	return func(context.Context) iter.Seq2[bucket.Info, error] {
		return func(yield func(bucket.Info, error) bool) {
			for i := range n {
				if !yield(bucket.Info{Key: fmt.Sprint("blobs/", i), Size: 10}, nil) {
					return
				}
			}
		}
	}
}

// On every backend the blobs are counted, and nothing else.
func TestCount(t *testing.T) {
	files, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	for name, b := range map[string]bucket.Bucket{"dir": files, "mem": mem.New()} {
		store := cas.New(b, cas.Distribution)
		for _, text := range []string{"", "one", "three", "one"} {
			if _, _, err := store.Put(t.Context(), strings.NewReader(text), digest.SHA256); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Write(t.Context(), bucket.Change{Key: "repositories/a/_layers/x", Data: []byte("link")}); err != nil {
			t.Fatal(err)
		}
		c := usage.New(usage.Blobs(b), usage.Options{})
		if got, at := c.Last(); got != (usage.Usage{}) || !at.IsZero() {
			t.Errorf("%s: %+v at %v before it was counted", name, got, at)
		}
		err := c.Count(t.Context())
		if got, at := c.Last(); err != nil || got != (usage.Usage{Blobs: 3, Bytes: 8}) || at.IsZero() {
			t.Errorf("%s: %+v at %v, %v", name, got, at, err)
		}
	}
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := usage.New(many(5), usage.Options{})
		begin := time.Now()
		go c.Run(t.Context())
		wait := func(d time.Duration, want time.Duration) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got, at := c.Last(); at.Sub(begin) != want || got.Blobs != 5 {
				t.Errorf("after %v: %+v, counted after %v; want %v", time.Since(begin), got, at.Sub(begin), want)
			}
		}
		wait(2*time.Minute, time.Minute)
		wait(15*time.Minute, 16*time.Minute)
		c.Ask()
		c.Ask()
		wait(0, 17*time.Minute)
		wait(14*time.Minute, 17*time.Minute) // the next is a quarter of an hour later
		wait(2*time.Minute, 32*time.Minute)
	})
}

// It is slow, and stops where it is when nobody wants it any more.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := usage.New(many(100_000), usage.Options{Pace: 10_000})
		begin := time.Now()
		if err := c.Count(t.Context()); err != nil || time.Since(begin) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		begin = time.Now()
		if err := c.Count(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if got, _ := c.Last(); got.Blobs != 100_000 {
			t.Errorf("%+v: half a count is none", got)
		}
	})
}

func TestFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		c := usage.New(func(context.Context) iter.Seq2[bucket.Info, error] {
			return func(yield func(bucket.Info, error) bool) { yield(bucket.Info{}, errors.New("the disk")) }
		}, usage.Options{Log: slog.New(slog.NewTextHandler(&said, nil))})
		go c.Run(t.Context())
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if _, at := c.Last(); !at.IsZero() || !strings.Contains(said.String(), "the disk") {
			t.Errorf("%v, %s", at, &said)
		}
	})
}

func TestSpaceOf(t *testing.T) {
	s, err := usage.SpaceOf(t.TempDir())
	if err != nil || s.Total == 0 || s.Free > s.Total {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := usage.SpaceOf(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("there is no such folder")
	}
}
