package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step7-security/ratelimit"
)

func TestAddressKey(t *testing.T) {
	tests := []struct{ name, a, b string }{
		{"IPv4", "192.0.2.1", "192.0.2.1"},
		{"IPv4 in IPv6", "::ffff:192.0.2.1", "192.0.2.1"},
		{"IPv6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"IPv6 with a zone", "fe80::1%eth0", "fe80::/64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ratelimit.AddressKey(netip.MustParseAddr(tt.a)); got != tt.b {
				t.Errorf("got %s, want %s", got, tt.b)
			}
		})
	}
}

// outcome is what became of a request, and when.
type outcome struct {
	after   time.Duration
	refused bool
}

// visit enters, and leaves after a while.
func visit(t *testing.T, l *ratelimit.Limiter, key string, goesOn bool, stays time.Duration) (o outcome) {
	begin := time.Now()
	v, err := l.Enter(t.Context(), key, goesOn)
	o = outcome{time.Since(begin), errors.Is(err, ratelimit.ErrRefused)}
	if err == nil {
		time.Sleep(stays)
		v.Leave()
	}
	return o
}

// all does n visits at once.
func all(t *testing.T, l *ratelimit.Limiter, key string, goesOn bool, stays time.Duration, n int) (refused int, last time.Duration) {
	var group sync.WaitGroup
	var mu sync.Mutex
	for range n {
		group.Go(func() {
			o := visit(t, l, key, goesOn, stays)
			mu.Lock()
			defer mu.Unlock()
			if o.refused {
				refused++
			} else {
				last = max(last, o.after)
			}
		})
	}
	group.Wait()
	return refused, last
}

func TestRequests(t *testing.T) {
	limits := ratelimit.Limits{Requests: ratelimit.Rate{PerSecond: 10, Burst: 5}, Queue: 8, Wait: time.Second}
	tests := []struct {
		name    string
		limits  ratelimit.Limits
		goesOn  bool
		n       int
		refused int
		last    time.Duration
		reason  string
	}{
		{"burst", limits, false, 5, 0, 0, ""},
		{"more", limits, false, 9, 0, 400 * time.Millisecond, "they wait for a token each"},
		{"more than may wait", limits, false, 20, 7, 800 * time.Millisecond, ""},
		{"longer than they may wait", ratelimit.Limits{Requests: limits.Requests, Queue: 100, Wait: 500 * time.Millisecond}, false, 20, 10, 500 * time.Millisecond, ""},
		{"what was begun", limits, true, 105, 0, 10 * time.Second, "never refused"},
		{"far more of what was begun", limits, true, 2000, 0, time.Minute, "nor put off for ever"},
		{"no limit", ratelimit.Limits{}, false, 1000, 0, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := ratelimit.New(tt.limits, 10)
				if refused, last := all(t, l, "a", tt.goesOn, 0, tt.n); refused != tt.refused || last != tt.last {
					t.Errorf("%d refused, the last after %v; want %d, %v (%s)", refused, last, tt.refused, tt.last, tt.reason)
				}
				if o := visit(t, l, "b", false, 0); o != (outcome{}) {
					t.Errorf("another source: %+v", o)
				}
			})
		})
	}
}

func TestAtOnce(t *testing.T) {
	limits := ratelimit.Limits{AtOnce: 2, Queue: 4, Wait: 3 * time.Second}
	tests := []struct {
		name    string
		goesOn  bool
		stays   time.Duration
		n       int
		refused int
		last    time.Duration
	}{
		{"few", false, time.Minute, 2, 0, 0},
		{"some wait", false, time.Second, 6, 0, 2 * time.Second},
		{"more than may wait", false, time.Second, 10, 4, 2 * time.Second},
		{"longer than they may wait", false, 2 * time.Second, 6, 2, 2 * time.Second},
		{"what was begun", true, time.Minute, 10, 0, 4 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := ratelimit.New(limits, 10)
				if refused, last := all(t, l, "a", tt.goesOn, tt.stays, tt.n); refused != tt.refused || last != tt.last {
					t.Errorf("%d refused, the last after %v; want %d, %v", refused, last, tt.refused, tt.last)
				}
				if refused, last := all(t, l, "a", false, 0, 2); refused != 0 || last != 0 {
					t.Errorf("afterwards: %d refused, the last after %v", refused, last)
				}
			})
		})
	}
}

// Who gives up waiting costs nothing, and gets nothing back that it did not pay.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Limits{Requests: ratelimit.Rate{PerSecond: 1, Burst: 1}, AtOnce: 1, Queue: 100, Wait: time.Hour}, 10)
		first, err := l.Enter(t.Context(), "a", false)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second/2)
		defer stop()
		for range 500 {
			go l.Enter(ctx, "a", true)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		ctx, stop = context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		if _, err := l.Enter(ctx, "a", false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("beside one that runs: %v", err)
		}
		first.Leave()
		if o := visit(t, l, "a", false, 0); o.refused || o.after > time.Second {
			t.Errorf("after they gave up: %+v", o)
		}
		if o := visit(t, l, "a", false, 0); o.after < time.Second/2 {
			t.Errorf("there was more than a token: %+v", o)
		}
	})
}

// Whose turn comes in the moment in which it gives up passes it on.
func TestTurnAtTheEndOfPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Limits{AtOnce: 1, Queue: 10, Wait: time.Second}, 10)
		for range 100 {
			all(t, l, "a", false, time.Second, 2)
			if o := visit(t, l, "a", false, 0); o != (outcome{}) {
				t.Fatalf("afterwards: %+v", o)
			}
		}
	})
}

func TestBytes(t *testing.T) {
	const mega = 1 << 20
	tests := []struct {
		name    string
		rate    ratelimit.Rate
		streams int
		each    int64
		want    time.Duration
		slice   int64
	}{
		{"no limit", ratelimit.Rate{}, 3, mega, 0, 0},
		{"within the burst", ratelimit.Rate{PerSecond: mega, Burst: 4 * mega}, 4, mega, 0, mega / 4},
		{"one", ratelimit.Rate{PerSecond: mega, Burst: mega}, 1, 11 * mega, 10 * time.Second, mega / 4},
		{"many", ratelimit.Rate{PerSecond: mega, Burst: mega}, 10, 11 * mega / 10, 10 * time.Second, mega / 4},
		{"slow", ratelimit.Rate{PerSecond: 1 << 10}, 1, 64 << 10, 64 * time.Second, 4 << 10},
		{"fast", ratelimit.Rate{PerSecond: 100 * mega, Burst: 1}, 1, 1000 * mega, 10 * time.Second, mega},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := ratelimit.New(ratelimit.Limits{Bytes: tt.rate}, 10)
				begin := time.Now()
				var group sync.WaitGroup
				for range tt.streams {
					v, err := l.Enter(t.Context(), "a", false)
					if err != nil || v.Slice() != tt.slice {
						t.Fatalf("%v, slices of %d", err, v.Slice())
					}
					group.Go(func() {
						for left := tt.each; left > 0 && tt.slice > 0; left -= tt.slice {
							v.Await(t.Context())
							v.Count(min(left, tt.slice))
						}
						v.Leave()
					})
				}
				group.Wait()
				got, slack := time.Since(begin), time.Duration(tt.streams)*time.Second/4
				if tt.rate.PerSecond == 1<<10 {
					slack = 4 * time.Second // a slice is four seconds
				}
				if got > tt.want || got < tt.want-slack {
					t.Errorf("took %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// However many sources come, those that are known keep what is theirs, and memory is
// bounded.
func TestManySources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sources, flood, burst = 200, 60_000, 100
		l := ratelimit.New(ratelimit.Limits{Requests: ratelimit.Rate{PerSecond: 1, Burst: burst}}, sources)
		enter := func(key string) bool { return !visit(t, l, key, false, 0).refused }
		for i := range sources / 2 {
			enter(fmt.Sprint("honest", i))
		}
		before := heap()
		passed := 0
		for i := range flood {
			if enter(fmt.Sprint("flood", i)) {
				passed++
			}
		}
		if grown := heap() - before; grown > 2<<20 {
			t.Errorf("%d bytes more", grown)
		}
		if most := sources + 256*burst; passed > most {
			t.Errorf("%d of the flood passed, want %d at most", passed, most)
		}
		for i := range sources / 2 {
			if !enter(fmt.Sprint("honest", i)) {
				t.Fatal("the flood drove somebody out")
			}
		}
		time.Sleep(time.Hour)
		for i := range flood {
			if !enter(fmt.Sprint("later", i)) && i < sources {
				t.Fatal("there is no room for new sources, though the others are idle")
			}
		}
	})
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := ratelimit.NewFailures(ratelimit.Rate{PerSecond: 0.1, Burst: 3}, 5, 2*time.Second, 10)
		attempt := func(key string, succeeds bool) outcome {
			begin := time.Now()
			done, err := f.Attempt(t.Context(), key)
			if err == nil {
				done(succeeds)
			}
			return outcome{time.Since(begin).Truncate(time.Microsecond), errors.Is(err, ratelimit.ErrRefused)}
		}
		want := func(what string, got, want outcome) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %+v, want %+v", what, got, want)
			}
		}
		for range 100 {
			want("right", attempt("a", true), outcome{})
		}
		for range 3 {
			want("wrong", attempt("a", false), outcome{})
		}
		want("one more", attempt("a", false), outcome{2 * time.Second, true})
		want("right, from there", attempt("a", true), outcome{2 * time.Second, true})
		want("right, from elsewhere", attempt("b", true), outcome{})
		time.Sleep(5 * time.Second)
		want("a while later", attempt("a", true), outcome{time.Second, false})

		// Many that succeed at once wait for each other alone.
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				done, err := f.Attempt(t.Context(), "c")
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Second / 2)
				done(true)
			})
		}
		group.Wait()

		// Attempts under way count, or many at once would all be free.
		var mu sync.Mutex
		tried := 0
		for range 50 {
			group.Go(func() {
				if done, err := f.Attempt(t.Context(), "d"); err == nil {
					mu.Lock()
					tried++
					mu.Unlock()
					time.Sleep(time.Second)
					done(false)
				}
			})
		}
		group.Wait()
		if tried != 3 {
			t.Errorf("%d wrong ones were tried at once, want 3", tried)
		}
	})
}

func BenchmarkEnter(b *testing.B) {
	l := ratelimit.New(ratelimit.Limits{Requests: ratelimit.Rate{PerSecond: 1e9, Burst: 1e9}, Bytes: ratelimit.Rate{PerSecond: 1e9, Burst: 1e9}, AtOnce: 10}, 1000)
	b.ReportAllocs()
	for b.Loop() {
		v, _ := l.Enter(b.Context(), "a", false)
		v.Count(1)
		v.Leave()
	}
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Limits{Requests: ratelimit.Rate{PerSecond: 1, Burst: 2}, AtOnce: 1, Queue: 3, Wait: 5 * time.Second}, 10)
		go all(t, l, "a", false, 2*time.Second, 8) // two at once, three wait for a token, three are refused
		synctest.Wait()
		if got := l.Stats(); got != (ratelimit.Stats{Waited: 4, Refused: 3, Waiting: 4}) { // one of the two for its turn
			t.Errorf("%+v", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := l.Stats(); got.Waiting != 0 || got.Waited < 5 {
			t.Errorf("a minute later: %+v", got)
		}
	})
}
