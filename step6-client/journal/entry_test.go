package journal_test

import (
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step6-client/journal"
)

// An entry is written once its upload has lasted a while, or when somebody leaves it.
func TestEntry(t *testing.T) {
	keep := func(t *testing.T, e *journal.Entry, offset int64) {
		t.Helper()
		if err := e.Keep(journal.Upload{Location: "https://example.com/session", Offset: offset, Size: 100}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		steps  func(t *testing.T, e *journal.Entry)
		offset int64 // that is kept; -1 for nothing
	}{
		{"at first", func(t *testing.T, e *journal.Entry) { keep(t, e, 0) }, -1},
		{"after a while", func(t *testing.T, e *journal.Entry) { keep(t, e, 0); time.Sleep(2 * journal.Delay) }, 0},
		{"the last state", func(t *testing.T, e *journal.Entry) { keep(t, e, 0); keep(t, e, 5); time.Sleep(2 * journal.Delay) }, 5},
		{"from then on at once", func(t *testing.T, e *journal.Entry) { keep(t, e, 0); time.Sleep(2 * journal.Delay); keep(t, e, 7) }, 7},
		{"over before", func(t *testing.T, e *journal.Entry) { keep(t, e, 0); e.Forget(); time.Sleep(2 * journal.Delay) }, -1},
		{"over later", func(t *testing.T, e *journal.Entry) { keep(t, e, 0); time.Sleep(2 * journal.Delay); e.Forget() }, -1},
		{"begun again", func(t *testing.T, e *journal.Entry) {
			keep(t, e, 0)
			e.Forget()
			keep(t, e, 3)
			time.Sleep(2 * journal.Delay)
		}, 3},
		{"left", func(t *testing.T, e *journal.Entry) { keep(t, e, 4); flush(t, e) }, 4},
		{"left when over", func(t *testing.T, e *journal.Entry) { keep(t, e, 4); e.Forget(); flush(t, e) }, -1},
		{"left before it began", flush, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j, err := journal.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				e := j.Entry(key)
				tt.steps(t, e)
				u, ok := j.Find(key)
				if ok != (tt.offset >= 0) || ok && u.Offset != tt.offset {
					t.Errorf("kept %v, %t; want offset %d", u, ok, tt.offset)
				}
				e.Forget() // a bubble waits for its timers
			})
		})
	}
}

func flush(t *testing.T, e *journal.Entry) {
	t.Helper()
	if err := e.Flush(); err != nil {
		t.Error(err)
	}
}
