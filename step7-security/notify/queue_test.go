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

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step7-security/notify"
)

// What waits is bounded, and the oldest is what is dropped, however the target does.
func TestLimits(t *testing.T) {
	tests := []struct {
		name   string
		limits notify.Limits
		wait   time.Duration
		first  int // of 50 tags, that is left
	}{
		{"events", notify.Limits{Events: 10}, 0, 40},
		{"bytes", notify.Limits{Bytes: 10 * 642}, 0, 40},
		{"age", notify.Limits{Age: time.Hour}, time.Hour + time.Minute, 50},
		{"enough of all", notify.Limits{}, time.Hour, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, `{"targets": []}`)
				w.limits = tt.limits
				w.mustPush("1") // nobody is to hear of the blob
				w.restart(oneTarget)
				hang := make(chan struct{})
				w.sender.answers(func(ctx context.Context, _ notify.Delivery) error {
					select {
					case <-hang:
						return nil
					case <-ctx.Done():
						return errServer
					}
				})
				all := tags(50)
				if err := w.push(app, "1", all...); err != nil {
					t.Fatal(err)
				}
				defer w.run()()
				time.Sleep(11*time.Second + tt.wait) // the first delivery was given up
				if n := len(w.queued()); n != 50-tt.first {
					t.Errorf("%d events wait, want %d", n, 50-tt.first)
				}
				close(hang)
				time.Sleep(10 * time.Minute)
				if got := onlyTags(w.sender.taken("ci")); !slices.Equal(got, pushed(all[tt.first:]...)) {
					t.Errorf("told %q", got)
				}
				if s := w.n.Status()[0]; s.Dropped != uint64(tt.first) || s.Queued != 0 || s.Bytes != 0 {
					t.Errorf("%+v", s)
				}
				if want := fmt.Sprintf(`shibafu_webhook_dropped_total{target="ci"} %d`, tt.first); tt.first > 0 && !strings.Contains(w.figures(), want) {
					t.Errorf("figures: %s", w.figures())
				}
			})
		})
	}
}

// Pulls are in nobody's store; what is too much, or there when the server ends, is lost,
// and that is said.
func TestPulls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneTarget)
		w.limits.Pulls = 3
		w.restart(oneTarget)
		for i := range 5 {
			w.n.Pull(t.Context(), notify.Pulled{Name: app, Digest: digest.FromBytes([]byte{byte(i)}), Size: 1})
		}
		if keys := w.queued(); len(keys) != 0 {
			t.Errorf("in the store: %q", keys)
		}
		w.mustPush("1", "v1")
		w.sender.answers(func(context.Context, notify.Delivery) error { return errServer })
		stop := w.run()
		time.Sleep(time.Minute)
		if s := w.n.Status()[0]; s.Pulls != 3 || s.Queued != 5 || s.Dropped != 2 {
			t.Errorf("%+v", s)
		}
		stop()
		if s := w.n.Status()[0]; s.Pulls != 0 || s.Queued != 2 || s.Dropped != 5 || !strings.Contains(w.log.String(), "pulls are kept in memory") {
			t.Errorf("%+v, log %s", s, w.log)
		}
	})
}

// Where there is no room for word of a deletion, that is counted.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneTarget)
		w.mustPush("1", "v1")
		defer w.run()()
		synctest.Wait()
		w.bucket.disturb(func(changes []bucket.Change) error {
			if slices.ContainsFunc(changes, func(c bucket.Change) bool { return !c.Delete }) {
				return bucket.ErrFull
			}
			return nil
		})
		if err := w.repos.DeleteManifest(t.Context(), app, manifestOf("1")); err != nil {
			t.Errorf("a deletion: %v", err)
		}
		if err := w.push(app, "1", "v2"); !errors.Is(err, bucket.ErrFull) {
			t.Errorf("a push: %v", err)
		}
		synctest.Wait()
		if s := w.n.Status()[0]; s.Dropped != 2 || s.Queued != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Who hears of what.
func TestWants(t *testing.T) {
	const start = `{"targets": [{"name": "ci", "url": "https://ci.test", `
	tests := []struct {
		name, file string
		want       []string
	}{
		{"by default", start + `"timeout": "5s"}]}`, []string{"push team/app@", "push team/app:v1", "delete team/app:v1"}},
		{"deletions", start + `"events": ["delete"]}]}`, []string{"delete team/app:v1"}},
		{"pulls", start + `"events": ["pull"]}]}`, []string{"pull team/app:v1", "pull team/app@"}},
		{"no blobs", start + `"ignore_media_types": ["application/octet-stream"]}]}`, []string{"push team/app:v1", "delete team/app:v1"}},
		{"this repository", start + `"repositories": ["team/**"], "events": ["delete"]}]}`, []string{"delete team/app:v1"}},
		{"another one", start + `"repositories": ["other"]}]}`, nil},
		{"nobody", `{"targets": []}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, tt.file)
				defer w.run()()
				w.mustPush("1", "v1")
				w.n.Pull(t.Context(), notify.Pulled{Name: app, Tag: tag("v1"), Digest: manifestOf("1"), MediaType: "m", Size: 1})
				w.n.Pull(t.Context(), notify.Pulled{Name: app, Digest: manifestOf("1"), Size: 1})
				if err := w.repos.DeleteTag(t.Context(), app, tag("v1")); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				got := w.sender.taken("")
				for i := range got {
					if before, _, ok := strings.Cut(got[i], "@"); ok {
						got[i] = before + "@"
					}
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("told %q, want %q", got, tt.want)
				}
				if w.n.WantsPulls(app) != (tt.name == "pulls") {
					t.Errorf("wants pulls: %v", w.n.WantsPulls(app))
				}
			})
		})
	}
}
