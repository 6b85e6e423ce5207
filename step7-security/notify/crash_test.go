package notify_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/dir"
	"shibafu.dev/step7-security/notify"
)

var errKilled = errors.New("killed")

// A process is killed before or after each of its writes, and another one goes on: what
// there is was told of, and what there is not was not.
func TestKilled(t *testing.T) {
	for _, after := range []bool{false, true} {
		for number, alive := 1, true; alive; number++ {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, oneTarget)
				var mu sync.Mutex
				writes := 0
				w.bucket.disturb(func(changes []bucket.Change) error {
					mu.Lock()
					defer mu.Unlock()
					if writes++; writes < number {
						return nil
					}
					if writes == number && after {
						if err := w.bucket.Bucket.Write(context.Background(), changes...); err != nil {
							t.Error(err)
						}
					}
					return errKilled
				})
				stop := w.run()
				for _, tag := range []string{"v1", "v2"} {
					_ = w.pushAll(tag)
					time.Sleep(time.Second)
				}
				_ = w.repos.DeleteTag(t.Context(), app, tag("v1"))
				time.Sleep(time.Second)
				stop()
				alive = writes >= number
				told := w.sender.taken("ci")
				w.bucket.disturb(nil)
				w.restart(oneTarget)
				stop = w.run()
				time.Sleep(time.Hour)
				stop()
				w.wantTold(append(told, w.sender.taken("ci")...))
			})
		}
	}
}

// wantTold wants that what was told leads to the tags that there are.
func (w *world) wantTold(told []string) {
	w.Helper()
	tags := map[string]bool{}
	for _, event := range told {
		action, name, _ := strings.Cut(event, " team/app:")
		tags[name] = action == "push"
	}
	for _, name := range []string{"v1", "v2"} {
		_, _, err := w.repos.Manifest(w.Context(), app, ref.ByTag(tag(name)))
		if (err == nil) != tags[name] {
			w.Errorf("%s is there: %v (%v); told %q", name, err == nil, err, told)
		}
	}
	if keys := w.queued(); len(keys) != 0 {
		w.Errorf("left: %q", keys)
	}
}

// The same on a disk: what its journal has of a push, it has of the event; and one that was
// sent and not deleted comes again under the same ID.
func TestKilledOnDisk(t *testing.T) {
	root, copied := t.TempDir(), t.TempDir()
	files, err := dir.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, bucket: &disturbed{Bucket: files}, log: &strings.Builder{}}
	w.restart(oneTarget)
	sending := make(chan struct{})
	w.sender.answers(func(context.Context, notify.Delivery) error {
		defer close(sending)
		return os.CopyFS(copied, os.DirFS(root)) // as a process leaves it that is killed now
	})
	w.mustPush("1", "v1")
	stop := w.run()
	<-sending
	stop()
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	before := w.sender.attempts()

	files, err = dir.Open(copied)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	w.bucket = &disturbed{Bucket: files}
	w.restart(oneTarget)
	again := make(chan struct{})
	w.sender.answers(func(context.Context, notify.Delivery) error { close(again); return nil })
	stop = w.run()
	<-again
	stop()
	after := w.sender.attempts()
	if len(before) != 1 || len(after) != 1 || before[0].body != after[0].body || len(after[0].events) != 2 {
		t.Errorf("first %v, then %v", before, after)
	}
	w.wantTold(w.sender.taken("ci")[1:])
}

// Nothing that is there when a registry starts has to be there: another target's queue,
// something else.
func TestLeftovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{"targets": [{"name": "ci", "url": "https://x"}, {"name": "ci-2", "url": "https://x"}]}`)
		w.mustPush("1", "v1")
		const stray = "shibafu/queues/ci/README"
		if err := w.bucket.Write(t.Context(), bucket.Change{Key: stray, Data: []byte("hello")}); err != nil {
			t.Fatal(err)
		}
		w.restart(oneTarget)
		if keys := w.queued(); slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, "shibafu/queues/ci-2/") }) || len(keys) != 3 {
			t.Errorf("left: %q", keys)
		}
		if !strings.Contains(w.log.String(), "target=ci-2 events=2") {
			t.Errorf("log: %s", w.log)
		}
		defer w.run()()
		synctest.Wait()
		if keys := w.queued(); !slices.Equal(keys, []string{stray}) || len(w.sender.taken("ci")) != 2 {
			t.Errorf("left: %q", keys)
		}
	})
}

// A clock that was set back does not put what is new before what waits.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneTarget)
		w.mustPush("1", "v1")
		for _, key := range w.queued() { // as of a server whose clock was ahead
			raw, _, err := bucket.ReadAll(t.Context(), w.bucket, key, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			ahead := strings.Replace(key, "/20000101T", "/20000102T", 1)
			if err := w.bucket.Write(t.Context(), bucket.Change{Key: key, Delete: true}, bucket.Change{Key: ahead, Data: raw}); err != nil {
				t.Fatal(err)
			}
		}
		w.restart(oneTarget)
		w.mustPush("2", "v2")
		defer w.run()()
		synctest.Wait()
		if got := onlyTags(w.sender.taken("ci")); !slices.Equal(got, pushed("v1", "v2")) {
			t.Errorf("told %q", got)
		}
	})
}
