package health_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step7-security/health"
)

// failing is a check whose error can be changed; it counts how often it is made.
type failing struct {
	err  atomic.Pointer[error]
	made atomic.Int32
}

func (f *failing) set(err error) { f.err.Store(&err) }

func (f *failing) check(name string) health.Check {
	return health.Check{Name: name, Run: func(context.Context) error {
		f.made.Add(1)
		if err := f.err.Load(); err != nil {
			return *err
		}
		return nil
	}}
}

func ready(t *testing.T, c *health.Checker) health.Report {
	t.Helper()
	r, err := c.Ready(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		var one, two failing
		c := health.New(health.Options{Log: slog.New(slog.NewTextHandler(&said, nil))}, one.check("one"), two.check("two"))
		if r := c.Last(); r.Ready || len(r.Checks) > 0 {
			t.Errorf("before any check: %+v", r)
		}
		if r := ready(t, c); !r.Ready || len(r.Checks) != 2 || r.Checks[0] != (health.Result{Name: "one", OK: true}) {
			t.Errorf("%+v", r)
		}
		two.set(errors.New("the disk"))
		if r := ready(t, c); !r.Ready || two.made.Load() != 1 {
			t.Errorf("%+v: a fresh result is told again", r)
		}
		for range 5 {
			time.Sleep(health.DefaultFresh)
			if r := ready(t, c); r.Ready || !slices.Equal(r.Failed(), []string{"two"}) || r.Ready != c.Last().Ready {
				t.Errorf("%+v", r)
			}
		}
		two.set(nil)
		time.Sleep(health.DefaultFresh)
		if r := ready(t, c); !r.Ready {
			t.Errorf("%+v", r)
		}
		if strings.Count(said.String(), "the disk") != 1 || strings.Count(said.String(), "good again") != 1 {
			t.Errorf("said:\n%s", &said)
		}
		c.Stop()
		if r := ready(t, c); r.Ready || !slices.Equal(r.Failed(), []string{"stopping"}) {
			t.Errorf("while it ends: %+v", r)
		}
	})
}

// However many ask at once, the checks are made once.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f failing
		inner := f.check("slow")
		c := health.New(health.Options{}, health.Check{Name: "slow", Run: func(ctx context.Context) error {
			time.Sleep(time.Second)
			return inner.Run(ctx)
		}})
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if r := ready(t, c); !r.Ready {
					t.Error("not ready")
				}
			})
		}
		all.Wait()
		if f.made.Load() != 1 {
			t.Errorf("made %d times", f.made.Load())
		}
	})
}

// A check that hangs has failed, and is not begun again before it ends.
func TestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f failing
		end := make(chan bool)
		c := health.New(health.Options{}, health.Check{Name: "disk", Run: func(context.Context) error {
			f.made.Add(1)
			<-end // heedless of its context, as a system call is
			return nil
		}})
		for range 10 {
			begin := time.Now()
			if r := ready(t, c); r.Ready || time.Since(begin) > health.DefaultTimeout {
				t.Errorf("%+v after %v", r, time.Since(begin))
			}
			time.Sleep(health.DefaultFresh)
		}
		if f.made.Load() != 1 {
			t.Errorf("begun %d times", f.made.Load())
		}
		close(end)
		synctest.Wait()
		if r := ready(t, c); !r.Ready {
			t.Errorf("%+v", r)
		}
	})
}

func TestAskerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := health.New(health.Options{}, health.Check{Name: "slow", Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }})
		ctx, leave := context.WithCancel(t.Context())
		leave()
		if _, err := c.Ready(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		time.Sleep(health.DefaultTimeout)
	})
}

func TestPanic(t *testing.T) {
	c := health.New(health.Options{}, health.Check{Name: "broken", Run: func(context.Context) error { panic("oh") }})
	if r := ready(t, c); r.Ready {
		t.Error("ready")
	}
}

// full is a bucket without room.
type full struct{ bucket.Bucket }

func (full) Write(context.Context, ...bucket.Change) error { return bucket.ErrFull }

func TestStorage(t *testing.T) {
	files, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	if err := health.Storage(files).Run(t.Context()); err != nil {
		t.Error(err)
	}
	for info, err := range files.List(t.Context(), "", "", false) {
		t.Errorf("%v is left, %v", info.Key, err)
	}
	if err := health.Storage(full{files}).Run(t.Context()); !errors.Is(err, bucket.ErrFull) {
		t.Errorf("full: %v", err)
	}
}

func TestChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := time.Now().Add(time.Hour)
		certificates := health.Certificates(func() time.Time { return end })
		if err := certificates.Run(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if err := certificates.Run(t.Context()); err == nil {
			t.Error("it has ended")
		}
		bad := errors.New("bad")
		if err := health.Loaded("policy", func() error { return bad }).Run(t.Context()); !errors.Is(err, bad) {
			t.Error(err)
		}
	})
}
