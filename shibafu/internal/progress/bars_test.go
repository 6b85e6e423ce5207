package progress

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/oci"
	"shibafu.dev/step6-client/transfer"

	"shibafu.dev/shibafu/internal/terminal/terminaltest"
)

// blob is one of a size; its digest begins as it prints.
func blob(n int, size int64) oci.Descriptor {
	text := fmt.Sprintf("sha256:%064d", n)
	text = "sha256:" + text[len(text)-1:] + strings.Repeat("a", 63)
	return oci.Descriptor{MediaType: "a/b", Digest: digest.MustParse(text), Size: size}
}

func TestBars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScreen(t, 80, 24)
		b := newBars(s, func() (int, int) { return 80, 24 })
		for i, size := range []int64{40_000_000, 5_000_000, 7} {
			b.Event(transfer.Event{Kind: transfer.Started, Descriptor: blob(i, size)})
		}
		for i := range 20 { // 2 MB a second, but for the last tenth
			b.Bytes(blob(0, 0).Digest, int64(i+1)*200_000, 40_000_000)
			pause(frame)
		}
		b.Event(transfer.Event{Kind: transfer.Copied, Descriptor: blob(1, 5_000_000)})
		b.Event(transfer.Event{Kind: transfer.Present, Descriptor: blob(2, 7)})
		pause(frame)
		const want = "" +
			"0aaaaaaaaaaa  [==                   ]     4.0 MB / 40.0 MB     1.9 MB/s     19s\n" +
			"1aaaaaaaaaaa     5.0 MB  done\n" +
			"2aaaaaaaaaaa        7 B  already there\n" +
			"2 of 3 done, 9.0 MB of 45.0 MB, 1.9 MB/s"
		if got := s.shown(); got != want {
			t.Errorf("it shows\n%s\nwant\n%s", got, want)
		}
		b.Close()
		b.Close()
	})
}

// However often something happens, it is drawn ten times a second; and not at all if
// nothing does.
func TestBarsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScreen(t, 80, 24)
		b := newBars(s, func() (int, int) { return 80, 24 })
		for i := range 1_000 {
			b.Event(transfer.Event{Kind: transfer.Moved, Descriptor: blob(0, 1_000), Done: int64(i)})
			pause(time.Millisecond)
		}
		pause(5 * time.Second) // it stands still, which is shown
		b.Event(transfer.Event{Kind: transfer.Copied, Descriptor: blob(0, 1_000)})
		pause(time.Hour)
		b.Close()
		if s.writes > 17 {
			t.Errorf("it was drawn %d times", s.writes)
		}
	})
}

func TestBarsSmallScreens(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {2, 2}, {10, 3}, {20, 5}, {30, 4}, {50, 10}, {79, 24}, {300, 100}} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScreen(t, size[0], size[1])
				b := newBars(s, func() (int, int) { return size[0], size[1] })
				for i := range 10 {
					b.Event(transfer.Event{Kind: transfer.Started, Descriptor: blob(i, 1_000_000_000)})
					b.Event(transfer.Event{Kind: transfer.Moved, Descriptor: blob(i, 1_000_000_000), Done: int64(i) * 100_000_000})
					pause(frame)
				}
				for i := range 10 {
					b.Event(transfer.Event{Kind: transfer.Copied, Descriptor: blob(i, 1_000_000_000)})
					pause(frame)
				}
				b.Close()
				if n := strings.Count(s.shown(), "\n") + 1; n > max(1, size[1]-1) {
					t.Errorf("%d lines:\n%s", n, s.shown())
				}
			})
		})
	}
}

// Where there is no room, what is finished goes first.
func TestBarsRoom(t *testing.T) {
	s := newState()
	for i := range 6 {
		kind := transfer.Started
		if i%2 == 0 {
			kind = transfer.Copied
		}
		s.event(transfer.Event{Kind: kind, Descriptor: blob(i, 10)})
	}
	for rows, want := range map[int]string{
		9: "0 1 2 3 4 5 3 of 6 done, 30 B of 60 B",
		6: "1 2 3 4 5 3 of 6 done, 30 B of 60 B (1 more lines)",
		4: "1 3 5 3 of 6 done, 30 B of 60 B (3 more lines)",
		3: "1 3 3 of 6 done, 30 B of 60 B (4 more lines)",
		1: "3 of 6 done, 30 B of 60 B (6 more lines)",
	} {
		lines := s.lines(79, rows)
		for i := range lines[:len(lines)-1] {
			lines[i] = lines[i][:1]
		}
		if got := strings.Join(lines, " "); got != want {
			t.Errorf("%d rows: %q, want %q", rows, got, want)
		}
	}
}

// A screen that becomes narrower has broken the lines that are there, so they are left
// alone; one that becomes wider has not.
func TestBarsResized(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScreen(t, 80, 24)
		var columns atomic.Int64
		columns.Store(80)
		b := newBars(s, func() (int, int) { return int(columns.Load()), 24 })
		d := blob(0, 1_000)
		step := func(done int64) {
			b.Event(transfer.Event{Kind: transfer.Moved, Descriptor: d, Done: done})
			pause(frame)
		}
		step(1)
		step(2)
		columns.Store(30)
		step(3)
		step(4)
		columns.Store(80)
		step(5)
		b.Close()
		if got := strings.Count(s.shown(), "0aaaaaaaaaaa"); got != 2 {
			t.Errorf("%d blocks:\n%s", got, s.shown())
		}
	})
}

func TestBarsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScreen(t, 30, 24)
		b := newBars(s, func() (int, int) { return 30, 24 })
		b.Waiting(errors.New("/h\x1b[2Jme\u009b is held by process 1"))
		pause(2 * frame)
		if got := s.shown(); got != "waiting: /h?[2Jme? is held by" {
			t.Errorf("%q", got)
		}
		b.Event(transfer.Event{Kind: transfer.Present, Descriptor: blob(0, 1)})
		b.Close()
		if got := s.shown(); strings.Contains(got, "waiting") {
			t.Errorf("%q", got)
		}
	})
}

// On a terminal that is one, with its own line discipline.
func TestBarsOnTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	person, program := terminaltest.Open(t, 20, 5)
	b := New(Auto, program)
	if _, ok := b.(*bars); !ok {
		t.Fatalf("a terminal gets %T", b)
	}
	for i := range 9 {
		b.Event(transfer.Event{Kind: transfer.Copied, Descriptor: blob(i, 1)})
	}
	b.Close()
	fmt.Fprint(program, "end\n")
	s, in := newScreen(t, 20, 5), bufio.NewReader(person)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		s.Write([]byte(line))
		if strings.HasSuffix(line, "end\r\n") {
			break
		}
	}
	if got := s.shown(); !strings.HasSuffix(got, "8aaaaaaaaaaa  done\n9 of 9 done\nend") {
		t.Errorf("it shows\n%s", got)
	}
}

func TestAuto(t *testing.T) {
	_, program := terminaltest.Open(t, 80, 24)
	for _, tt := range []struct{ name, term string }{{"dumb", "dumb"}, {"unknown", ""}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("TERM", tt.term)
			if shown, ok := New(Auto, program).(plain); !ok {
				t.Errorf("it is %T", shown)
			}
		})
	}
	t.Setenv("TERM", "xterm")
	if shown, ok := New(Auto, &strings.Builder{}).(plain); !ok {
		t.Errorf("no terminal: %T", shown)
	}
}

func TestSpeed(t *testing.T) {
	var s speed
	now := time.Unix(0, 0)
	for i, done := range []int64{0, 1_000, 2_000, 3_000, 500, 1_500} { // resumed at 1000, and once begun again
		s.at(now.Add(time.Duration(i)*time.Second), done)
	}
	if s.rate != 1_000 {
		t.Errorf("%f bytes a second", s.rate)
	}
	for _, tt := range []struct {
		rest int64
		rate float64
		want string
	}{{0, 1, "-"}, {1, 0, "-"}, {1 << 62, 1, "-"}, {59, 1, "59s"}, {200, 1, "3m20s"}, {7_500, 1, "2h05m"}} {
		got := "-"
		if d, ok := left(tt.rest, tt.rate); ok {
			got = short(d)
		}
		if got != tt.want {
			t.Errorf("%d at %f: %s, want %s", tt.rest, tt.rate, got, tt.want)
		}
	}
}

func TestJSONLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		l := New(JSON, &out)
		d := blob(1, 100)
		l.Waiting(errors.New("held"))
		l.Bytes(d.Digest, 1, 100) // of nothing that was begun
		l.Event(transfer.Event{Kind: transfer.Started, Descriptor: d})
		l.Bytes(d.Digest, 10, 100)
		l.Bytes(d.Digest, 20, 100) // too soon
		pause(time.Second)
		l.Event(transfer.Event{Kind: transfer.Moved, Descriptor: d, Done: 30})
		l.Event(transfer.Event{Kind: transfer.Copied, Descriptor: d, Done: 100})
		l.Bytes(d.Digest, 100, 100)
		l.Close()
		of := fmt.Sprintf(`"digest":"%s"`, d.Digest)
		want := `{"event":"waiting","message":"held"}` + "\n" +
			`{"event":"started",` + of + `,"mediaType":"a/b","size":100}` + "\n" +
			`{"event":"moved",` + of + `,"size":100,"done":10}` + "\n" +
			`{"event":"moved",` + of + `,"mediaType":"a/b","size":100,"done":30}` + "\n" +
			`{"event":"copied",` + of + `,"mediaType":"a/b","size":100,"done":100}` + "\n"
		if out.String() != want {
			t.Errorf("got\n%swant\n%s", &out, want)
		}
	})
}
