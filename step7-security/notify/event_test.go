package notify_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step7-security/notify"
)

// What happens, and what is told of it, in order.
func TestEvents(t *testing.T) {
	d := func(text string) digest.Digest { return digest.FromBytes([]byte(text)) }
	empty := d("{}").String()[:15]
	tests := []struct {
		name string
		do   func(w *world) error
		want []string
	}{
		{"a blob", func(w *world) error { w.blob(app, "{}"); return nil }, []string{"push team/app@" + empty}},
		{"a manifest without a tag", func(w *world) error { w.mustPush("1"); return nil },
			[]string{"push team/app@" + empty, "push team/app@" + manifestOf("1").String()[:15]}},
		{"two tags", func(w *world) error { w.mustPush("1", "a", "b"); return nil },
			[]string{"push team/app@" + empty, "push team/app:a", "push team/app:b"}},
		{"a mount", func(w *world) error {
			w.blob(app, "{}")
			return w.repos.MountBlob(w.Context(), ref.MustName("other"), app, d("{}"))
		}, []string{"push team/app@" + empty, "mount other@" + empty}},
		{"a tag is deleted", func(w *world) error {
			w.mustPush("1", "a")
			return w.repos.DeleteTag(w.Context(), app, ref.MustTag("a"))
		}, []string{"push team/app@" + empty, "push team/app:a", "delete team/app:a"}},
		{"a manifest is deleted", func(w *world) error {
			w.mustPush("1", "a")
			return w.repos.DeleteManifest(w.Context(), app, manifestOf("1"))
		}, []string{"push team/app@" + empty, "push team/app:a", "delete team/app@" + manifestOf("1").String()[:15], "delete team/app:a"}},
		{"a blob is deleted", func(w *world) error { w.blob(app, "{}"); return w.repos.DeleteBlob(w.Context(), app, d("{}")) },
			[]string{"push team/app@" + empty, "delete team/app@" + empty}},
		{"pulls", func(w *world) error {
			w.n.Pull(w.Context(), notify.Pulled{Name: app, Tag: ref.MustTag("a"), Digest: d("m"), MediaType: "x", Size: 3})
			w.n.Pull(w.Context(), notify.Pulled{Name: app, Digest: d("{}"), Size: 2})
			return nil
		}, []string{"pull team/app:a", "pull team/app@" + empty}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, oneTarget)
				stop := w.run()
				if err := tt.do(w); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				stop()
				if got := w.sender.taken(""); !slices.Equal(got, tt.want) {
					t.Errorf("told %q, want %q", got, tt.want)
				}
				if keys := w.queued(); len(keys) != 0 {
					t.Errorf("left: %q", keys)
				}
			})
		})
	}
}

// The words are those of distribution, and nothing is there that is empty.
func TestEnvelope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, strings.Replace(oneTarget, `"events"`, `"references": true, "events"`, 1))
		defer w.run()()
		w.mustPush("1", "v1")
		if err := w.repos.MountBlob(t.Context(), ref.MustName("other"), app, digest.FromBytes([]byte("{}"))); err != nil {
			t.Fatal(err)
		}
		if err := w.repos.DeleteTag(t.Context(), app, ref.MustTag("v1")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var all struct{ Events []json.RawMessage }
		for _, d := range w.sender.attempts() {
			var e struct{ Events []json.RawMessage }
			if err := json.Unmarshal([]byte(d.body), &e); err != nil {
				t.Fatal(err)
			}
			all.Events = append(all.Events, e.Events...)
		}
		blob, m := digest.FromBytes([]byte("{}")).String(), manifestOf("1").String()
		const rest = `"request":{"id":"r1","addr":"192.0.2.1","host":"reg.test","method":"PUT","useragent":"docker/29"},` +
			`"actor":{"name":"alice"},"source":{"addr":"reg.test:443","instanceID":"i1"}}`
		want := []string{
			`"action":"push","target":{"mediaType":"application/octet-stream","size":2,"digest":"` + blob + `","length":2,` +
				`"repository":"team/app","url":"https://reg.test/v2/team/app/blobs/` + blob + `"},` + rest,
			`"action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":280,"digest":"` + m + `","length":280,` +
				`"repository":"team/app","url":"https://reg.test/v2/team/app/manifests/` + m + `","tag":"v1",` +
				`"references":[{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + blob + `","size":2}]},` + rest,
			`"action":"mount","target":{"mediaType":"application/octet-stream","size":2,"digest":"` + blob + `","length":2,` +
				`"repository":"other","fromRepository":"team/app","url":"https://reg.test/v2/other/blobs/` + blob + `"},` + rest,
			`"action":"delete","target":{"repository":"team/app","tag":"v1"},` + rest,
		}
		if len(all.Events) != len(want) {
			t.Fatalf("%d events, want %d", len(all.Events), len(want))
		}
		ids := map[string]bool{}
		for i, raw := range all.Events {
			var e notify.Event
			if err := json.Unmarshal(raw, &e); err != nil {
				t.Fatal(err)
			}
			ids[e.ID] = true
			head, _ := json.Marshal(struct {
				ID        string    `json:"id"`
				Timestamp time.Time `json:"timestamp"`
			}{e.ID, e.Timestamp})
			if got := string(raw); got != strings.TrimSuffix(string(head), "}")+","+want[i] {
				t.Errorf("event %d is\n%s\nwant\n%s", i, got, want[i])
			}
		}
		if len(ids) != len(want) {
			t.Errorf("%d different ids", len(ids))
		}
	})
}
