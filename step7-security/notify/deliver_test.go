package notify_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step7-security/notify"
)

var (
	errServer  = &notify.SendError{Reason: "answers 500"}
	errRefused = &notify.SendError{Reason: "answers 400", Refused: true}
)

// fails answers with err so many times, and takes all that comes after.
func fails(times int, err error) func(context.Context, notify.Delivery) error {
	return func(context.Context, notify.Delivery) error {
		if times--; times >= 0 {
			return err
		}
		return nil
	}
}

func tags(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("v%03d", i))
	}
	return all
}

// pushed is what a target hears of a push with those tags.
func pushed(tags ...string) (all []string) {
	for _, tag := range tags {
		all = append(all, "push team/app:"+tag)
	}
	return all
}

// onlyTags is what is about tags.
func onlyTags(taken []string) []string {
	return slices.DeleteFunc(slices.Clone(taken), func(s string) bool { return !strings.Contains(s, ":v") })
}

// What fails comes again, in order and soon, then later and later.
func TestFailures(t *testing.T) {
	tests := []struct {
		name   string
		answer func(context.Context, notify.Delivery) error
		within time.Duration
		not    time.Duration // it does not come before that
	}{
		{"a server error", fails(1, errServer), time.Second, 500 * time.Millisecond},
		{"ten of them", fails(10, errServer), 23 * time.Minute, 8 * time.Minute},
		{"a cut connection", fails(1, errors.New("connection reset")), time.Second, 500 * time.Millisecond},
		{"wait a minute", fails(1, &notify.SendError{Reason: "answers 429", After: time.Minute}), time.Minute, time.Minute},
		{"wait a year", fails(1, &notify.SendError{Reason: "answers 503", After: 365 * 24 * time.Hour}), time.Hour, time.Hour},
		{"no answer", func() func(context.Context, notify.Delivery) error {
			times := 1
			return func(ctx context.Context, _ notify.Delivery) error {
				if times--; times >= 0 {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			}
		}(), 11 * time.Second, 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, oneTarget)
				w.sender.answers(tt.answer)
				w.mustPush("1", "v1", "v2")
				defer w.run()()
				time.Sleep(tt.not - time.Millisecond)
				if got := w.sender.taken("ci"); len(got) != 0 {
					t.Errorf("after %v: %q", tt.not, got)
				}
				time.Sleep(tt.within - tt.not + 2*time.Millisecond)
				if got := onlyTags(w.sender.taken("ci")); !slices.Equal(got, pushed("v1", "v2")) {
					t.Errorf("after %v: %q", tt.within, got)
				}
				if keys := w.queued(); len(keys) != 0 {
					t.Errorf("left: %q", keys)
				}
			})
		})
	}
}

// One that takes nothing keeps nobody else waiting.
func TestTargetsAreAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{"targets": [{"name": "bad", "url": "https://bad.test"}, {"name": "hangs", "url": "https://hangs.test", "timeout": "1m"}, {"name": "good", "url": "https://good.test"}]}`)
		w.sender.answers(func(ctx context.Context, d notify.Delivery) error {
			switch d.Target.Name {
			case "bad":
				return errServer
			case "hangs":
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		defer w.run()()
		for _, tag := range tags(20) {
			w.mustPush(tag, tag)
		}
		synctest.Wait()
		if got := onlyTags(w.sender.taken("good")); !slices.Equal(got, pushed(tags(20)...)) {
			t.Errorf("told %q", got)
		}
		for _, s := range w.n.Status() {
			if want := s.Target != "good"; s.Queued > 0 != want || s.Failing != (s.Target == "bad") {
				t.Errorf("%+v", s)
			}
		}
	})
}

// Many go together; after a failure one goes alone, then two, and so on.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneTarget)
		w.blob(app, "{}")
		all := tags(230)
		for chunk := range slices.Chunk(all, 100) {
			if err := w.push(app, "1", chunk...); err != nil {
				t.Fatal(err)
			}
		}
		w.sender.answers(fails(1, errServer))
		defer w.run()()
		time.Sleep(time.Second)
		var sizes []int
		for _, d := range w.sender.attempts() {
			sizes = append(sizes, len(d.events))
		}
		if want := []int{100, 1, 2, 4, 8, 16, 32, 64, 100, 4}; !slices.Equal(sizes, want) {
			t.Errorf("deliveries of %d events, want %d", sizes, want)
		}
		if got := onlyTags(w.sender.taken("ci")); !slices.Equal(got, pushed(all...)) {
			t.Errorf("told %q", got)
		}
	})
}

// An event that a target refuses is tried alone, and given up in the end; those around it
// arrive.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneTarget)
		w.sender.answers(func(_ context.Context, d notify.Delivery) error {
			if strings.Contains(string(d.Body), `"tag":"v2"`) {
				return errRefused
			}
			return nil
		})
		w.mustPush("1", "v1", "v2", "v3")
		defer w.run()()
		time.Sleep(time.Hour)
		if got := onlyTags(w.sender.taken("ci")); !slices.Equal(got, pushed("v1", "v3")) {
			t.Errorf("told %q", got)
		}
		s := w.n.Status()[0]
		if s.Dropped != 1 || s.Queued != 0 || s.Delivered != 3 || len(w.queued()) != 0 {
			t.Errorf("%+v, left %q", s, w.queued())
		}
		if !strings.Contains(w.log.String(), "answers 400") {
			t.Errorf("log: %s", w.log)
		}
	})
}

// A target that is corrected is tried at once, and one that is gone leaves nothing.
func TestUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneTarget)
		w.sender.answers(func(_ context.Context, d notify.Delivery) error {
			if string(d.Target.URL) == "https://ci.test/hook" {
				return &notify.SendError{Reason: "answers 404", After: time.Hour}
			}
			return nil
		})
		defer w.run()()
		w.mustPush("1", "v1")
		time.Sleep(time.Minute)
		begin := time.Now()
		if err := w.n.Use(t.Context(), w.parse(strings.Replace(oneTarget, "/hook", "/right", 1))); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := onlyTags(w.sender.taken("ci")); !slices.Equal(got, pushed("v1")) || !time.Now().Equal(begin) {
			t.Errorf("corrected: told %q", got)
		}

		w.sender.answers(func(context.Context, notify.Delivery) error { return errServer })
		w.mustPush("2", "v2")
		synctest.Wait()
		if err := w.n.Use(t.Context(), w.parse(`{"targets": [{"name": "new", "url": "https://new.test"}]}`)); err != nil {
			t.Fatal(err)
		}
		if keys := w.queued(); len(keys) != 0 {
			t.Errorf("left: %q", keys)
		}
		w.sender.answers(nil)
		w.mustPush("3", "v3")
		synctest.Wait()
		if got := onlyTags(w.sender.taken("new")); !slices.Equal(got, pushed("v3")) {
			t.Errorf("the new one: told %q", got)
		}
	})
}

// A store that cannot be written keeps pushes out, and what was delivered is not sent
// again by this process.
func TestUnwritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneTarget)
		w.mustPush("1", "v1")
		w.bucket.disturb(func([]bucket.Change) error { return errIO })
		defer w.run()()
		synctest.Wait()
		if err := w.push(app, "2", "v2"); !errors.Is(err, errIO) {
			t.Errorf("a push: %v, want %v", err, errIO)
		}
		time.Sleep(time.Hour)
		if got := onlyTags(w.sender.taken("ci")); !slices.Equal(got, pushed("v1")) {
			t.Errorf("told %q", got)
		}
		if keys := w.queued(); len(keys) != 2 {
			t.Errorf("waiting: %q", keys)
		}
		if n := strings.Count(w.log.String(), "cannot be deleted"); n != 1 {
			t.Errorf("said %d times", n)
		}
		w.bucket.disturb(nil)
		time.Sleep(2 * time.Minute)
		if keys := w.queued(); len(keys) != 0 {
			t.Errorf("left: %q", keys)
		}
	})
}

// What cannot be read now is read later; what is no event is dropped.
func TestUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneTarget)
		w.mustPush("1", "v1", "v2")
		keys := w.queued()
		if err := w.bucket.Write(t.Context(), bucket.Change{Key: keys[1], Data: []byte(`{"id":`)}); err != nil {
			t.Fatal(err)
		}
		w.bucket.opens = func(key string) error {
			if strings.HasPrefix(key, "shibafu/") {
				return errIO
			}
			return nil
		}
		stop := w.run()
		time.Sleep(time.Minute)
		if got := w.sender.attempts(); len(got) != 0 {
			t.Errorf("sent %v", got)
		}
		stop()
		w.bucket.opens = nil
		defer w.run()()
		synctest.Wait()
		if got := onlyTags(w.sender.taken("ci")); !slices.Equal(got, pushed("v2")) || w.n.Status()[0].Dropped != 1 || len(w.queued()) != 0 {
			t.Errorf("told %q, %+v", got, w.n.Status())
		}
	})
}
