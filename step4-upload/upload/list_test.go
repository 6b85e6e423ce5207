package upload_test

import (
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step2-cas/bucket"
	"shibafu.dev/step2-cas/bucket/mem"
	"shibafu.dev/step2-cas/cas"
	"shibafu.dev/step4-upload/upload"
)

// Who looks after the registry sees all sessions, also after a restart.
func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mem.New()
		m := manage(t, b, upload.Limits{})
		m.Owner = caller
		if all := m.Sessions(); len(all) != 0 {
			t.Errorf("sessions %+v", all)
		}
		began := time.Now()
		alices, err := m.Start(as(t.Context(), "alice"), repoB, digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		anyones := start(t, m)
		mustAppend(t, m, anyones, 0, "hello")
		want := []upload.Session{
			{ID: alices.ID, Repository: repoB, Owner: "alice", Started: began, Touched: began},
			{ID: anyones, Repository: repoA, Size: 5, Started: began.Add(time.Minute), Touched: began.Add(time.Minute)},
		}
		wantSessions(t, m, want)
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		want[0].Touched = began.Add(time.Minute) // when it was saved
		wantSessions(t, manage(t, b, upload.Limits{}), want)
	})
}

func wantSessions(t *testing.T, m *upload.Manager, want []upload.Session) {
	t.Helper()
	if all := m.Sessions(); !slices.EqualFunc(all, want, sameSession) {
		t.Errorf("sessions %+v, want %+v", all, want)
	}
}

func sameSession(a, b upload.Session) bool {
	same := a.Started.Equal(b.Started) && a.Touched.Equal(b.Touched)
	a.Started, a.Touched, b.Started, b.Touched = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return same && a == b
}

// A session of an earlier version has no time at which it began.
func TestSessionsOfAnEarlierVersion(t *testing.T) {
	each(t, func(t *testing.T, b bucket.Bucket) {
		note := `{"repository": "team/a", "touched": "2026-01-02T03:04:05Z"}`
		w, err := cas.New(b, cas.Distribution).NewWriter(t.Context(), "old", digest.SHA256, []byte(note))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		wantSessions(t, manage(t, b, upload.Limits{}), []upload.Session{{ID: "old", Repository: repoA, Touched: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}})
	})
}

func TestEnd(t *testing.T) {
	each(t, func(t *testing.T, b bucket.Bucket) {
		m := manage(t, b, upload.Limits{Sessions: 1, PerOwner: 1})
		m.Owner = caller
		alice := as(t.Context(), "alice")
		status, err := m.Start(alice, repoA, digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Append(alice, repoA, status.ID, 0, strings.NewReader("hello")); err != nil {
			t.Fatal(err)
		}
		wantError(t, m.End(t.Context(), "none"), upload.ErrUnknown)
		if err := m.End(t.Context(), status.ID); err != nil {
			t.Fatal(err)
		}
		wantFreed(t, b)
		wantError(t, m.End(t.Context(), status.ID), upload.ErrUnknown)
		_, err = m.Append(alice, repoA, status.ID, upload.AtEnd, empty)
		wantError(t, err, upload.ErrUnknown)
		if _, err := m.Start(alice, repoA, digest.SHA256); err != nil {
			t.Errorf("there is no room for another one: %v", err)
		}
	})
}

// The request that is adding to the session learns that it is over.
func TestEndDuringAppend(t *testing.T) {
	script(t, upload.Limits{}, func(t *testing.T, m *upload.Manager, b bucket.Bucket) {
		id := start(t, m)
		w, first := stall(t, m, id, "hel")
		if all := m.Sessions(); len(all) != 1 || !all[0].Active {
			t.Errorf("sessions %+v, want one that is active", all)
		}
		if err := m.End(t.Context(), id); err != nil {
			t.Errorf("End: %v", err)
		}
		wantUnknown(t, m, id)
		io.WriteString(w, "lo")
		(<-first).want(t, upload.Status{}, upload.ErrUnknown)
		wantFreed(t, b)
	})
}
