package watch_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step7-security/watch"
)

var errBad = errors.New("bad")

// parse takes anything but what holds "bad".
func parse(contents [][]byte) (string, error) {
	all := string(bytes.Join(contents, []byte("+")))
	if strings.Contains(all, "bad") {
		return "", errBad
	}
	return all, nil
}

// put writes a file as it was at a time, in seconds ago.
func put(t *testing.T, name, content string, ago int) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-time.Duration(ago) * time.Second)
	if err := os.Chtimes(name, at, at); err != nil {
		t.Fatal(err)
	}
}

func TestPoll(t *testing.T) {
	type step struct {
		name    string
		do      func(t *testing.T, a string)
		want    string
		changed bool
		bad     bool
	}
	rename := func(t *testing.T, a string) {
		put(t, a+".new", "five", 300)
		if err := os.Rename(a+".new", a); err != nil {
			t.Fatal(err)
		}
	}
	steps := []step{
		{"nothing", func(*testing.T, string) {}, "one+b", false, false},
		{"written", func(t *testing.T, a string) { put(t, a, "two", 90) }, "two+b", true, false},
		{"touched", func(t *testing.T, a string) { put(t, a, "two", 80) }, "two+b", false, false},
		{"bad", func(t *testing.T, a string) { put(t, a, "bad", 70) }, "two+b", false, true},
		{"mended", func(t *testing.T, a string) { put(t, a, "four", 60) }, "four+b", true, false},
		{"another file of the same time and size", rename, "five+b", true, false},
		{"gone", func(t *testing.T, a string) { os.Remove(a) }, "five+b", false, true},
		{"back, just now", func(t *testing.T, a string) { put(t, a, "six", 0) }, "six+b", true, false},
		{"again at once, the same to look at", func(t *testing.T, a string) {
			info, _ := os.Stat(a)
			os.WriteFile(a, []byte("SIX"), 0o600)
			os.Chtimes(a, info.ModTime(), info.ModTime())
		}, "SIX+b", true, false},
		{"too large", func(t *testing.T, a string) { put(t, a, strings.Repeat("x", watch.MaxFile+1), 50) }, "SIX+b", false, true},
	}
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	put(t, a, "one", 100)
	put(t, b, "b", 100)
	f, err := watch.Open(parse, a, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		s.do(t, a)
		changed, err := f.Poll()
		if changed != s.changed || (err != nil) != s.bad || f.Current() != s.want || (f.Err() != nil) != s.bad {
			t.Errorf("%s: %q, changed %v, %v, %v; want %q", s.name, f.Current(), changed, err, f.Err(), s.want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	a := filepath.Join(t.TempDir(), "a")
	if _, err := watch.Open(parse, a); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	put(t, a, "bad", 0)
	if _, err := watch.Open(parse, a); !errors.Is(err, errBad) {
		t.Errorf("a bad file: %v", err)
	}
}

// A bad version is told of once, however often it is looked at.
func TestRunSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := filepath.Join(t.TempDir(), "a")
		put(t, a, "one", 0)
		f, err := watch.Open(parse, a)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		ctx, stop := context.WithCancel(t.Context())
		done, told := make(chan struct{}), 0
		go func() {
			defer close(done)
			f.Run(ctx, time.Second, slog.New(slog.NewTextHandler(&out, nil)), func() { told++ })
		}()
		for _, content := range []string{"bad", "bad", "two"} {
			os.WriteFile(a, []byte(content), 0o600)
			os.Chtimes(a, time.Now(), time.Now())
			time.Sleep(3 * time.Second)
			synctest.Wait()
		}
		stop()
		<-done
		if n := strings.Count(out.String(), "stays in force"); n != 1 || strings.Count(out.String(), "is in force") != 1 || f.Current() != "two" || told != 1 {
			t.Errorf("%q in force, told %d times, said:\n%s", f.Current(), told, &out)
		}
	})
}
