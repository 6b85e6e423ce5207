package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"shibafu.dev/step7-security/audit"
)

// open opens a log in a folder of its own; what it tells of goes to said.
func open(t *testing.T, o audit.Options) (l *audit.Log, file string, said *bytes.Buffer) {
	t.Helper()
	if o.File == "" {
		o.File = filepath.Join(t.TempDir(), "audit.log")
	}
	said = new(bytes.Buffer)
	o.Log = slog.New(slog.NewTextHandler(said, nil))
	l, err := audit.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, o.File, said
}

// events reads a file; what is no event is an error.
func events(t *testing.T, file string) (all []audit.Event) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var e audit.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || !strings.HasSuffix(line, "\n") {
			t.Errorf("%v: %q", err, line)
		}
		all = append(all, e)
	}
	return all
}

func push(n int) audit.Event {
	return audit.Event{Action: "push manifest", Reference: fmt.Sprint("v", n), Result: audit.Done}
}

func TestWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, file, _ := open(t, audit.Options{})
		l.Write(audit.Event{ID: "abc", Identity: "alice", Kind: "user", Client: "192.0.2.1", Action: "push manifest", Right: "push",
			Repository: "team/app", Reference: "v1", Digest: "sha256:00", Result: audit.Done, Status: 201})
		raw, err := os.ReadFile(file)
		want := `{"time":"2000-01-01T00:00:00Z","id":"abc","identity":"alice","kind":"user","client":"192.0.2.1","action":"push manifest","right":"push",` +
			`"repository":"team/app","reference":"v1","digest":"sha256:00","result":"done","status":201}` + "\n"
		if err != nil || string(raw) != want {
			t.Errorf("%v\n%s\nwant\n%s", err, raw, want)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	})
}

// Whatever a client sends stays on its line, and means nothing to a terminal.
func TestHostileText(t *testing.T) {
	for _, text := range []string{"a\nb", "a\r\n{\"action\":\"x\"}", "\x1b[31m", "\x9b31m", "\u009b31m", "\x7f", "\u202e", "\xff\xfe", `"}`, strings.Repeat("x", 1<<20)} {
		l, file, _ := open(t, audit.Options{})
		l.Write(audit.Event{Action: "get token", Agent: text, Target: text, Identity: text, Result: audit.Refused})
		raw, _ := os.ReadFile(file)
		if got := events(t, file); len(got) != 1 || len(raw) > 8<<10 {
			t.Errorf("%.20q: %d events in %d bytes", text, len(got), len(raw))
		}
		if i := bytes.IndexFunc(bytes.TrimSuffix(raw, []byte("\n")), func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }); i >= 0 {
			t.Errorf("%.20q: %q", text, raw)
		}
	}
}

// What is there when the log is opened stays, and half a line does not spoil the next.
func TestOpenAddsTo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(file, []byte("{}\n{\"time\":\"20"), 0o640); err != nil {
		t.Fatal(err)
	}
	l, _, _ := open(t, audit.Options{File: file})
	l.Write(push(1))
	raw, _ := os.ReadFile(file)
	lines := strings.Split(string(raw), "\n")
	if len(lines) != 4 || lines[0] != "{}" || lines[1] != `{"time":"20` || !strings.Contains(lines[2], `"v1"`) {
		t.Errorf("%q", lines)
	}
}

func TestAtOnce(t *testing.T) {
	l, file, _ := open(t, audit.Options{Size: 10_000, Keep: 1000})
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for n := range 100 {
				l.Write(push(100*w + n))
				if n%10 == 0 {
					l.Sync()
				}
				if n%25 == 0 {
					l.Reopen()
				}
			}
		})
	}
	all.Wait()
	files, _ := filepath.Glob(file + "*")
	seen := map[string]bool{}
	for _, name := range files {
		if info, _ := os.Stat(name); info.Size() > 10_000 {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
		for _, e := range events(t, name) {
			seen[e.Reference] = true
		}
	}
	if s := l.Stats(); len(seen) != 800 || s.Written != 800 || s.Lost != 0 || len(files) < 5 {
		t.Errorf("%d events in %d files, %+v", len(seen), len(files), s)
	}
}

func TestRotate(t *testing.T) {
	l, file, _ := open(t, audit.Options{Size: 200, Keep: 3})
	for n := range 10 { // about 100 bytes each, so one or two fit
		l.Write(push(n))
	}
	first, _ := filepath.Glob(file + ".*")
	if len(first) != 3 || filepath.Ext(first[0]) == ".000001" {
		t.Fatalf("%q", first)
	}
	var got []string
	for _, name := range append(first, file) {
		for _, e := range events(t, name) {
			got = append(got, e.Reference)
		}
	}
	if last := got[len(got)-1]; last != "v9" {
		t.Errorf("%q", got)
	}
	l.Close()
	again, _, _ := open(t, audit.Options{File: file, Size: 200, Keep: 100})
	for n := range 10 {
		again.Write(push(n))
	}
	for _, name := range first {
		if _, err := os.Stat(name); err != nil {
			t.Errorf("numbers begin anew: %v", err)
		}
	}
}

// Files that are called like old ones, but are not, stay; and nothing is overwritten.
func TestRotateLeavesOthers(t *testing.T) {
	l, file, _ := open(t, audit.Options{Size: 200, Keep: 1})
	others := []string{file + ".gz", file + ".1", file + ".000001.gz", file + ".x"}
	for _, name := range others {
		if err := os.WriteFile(name, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 20 {
		l.Write(push(n))
	}
	for _, name := range others {
		if raw, err := os.ReadFile(name); err != nil || string(raw) != "mine" {
			t.Errorf("%s: %q, %v", name, raw, err)
		}
	}
}

// Another program moves the file, and says so.
func TestReopen(t *testing.T) {
	l, file, _ := open(t, audit.Options{})
	l.Write(push(1))
	if err := os.Rename(file, file+".moved"); err != nil {
		t.Fatal(err)
	}
	l.Write(push(2))
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Write(push(3))
	if moved, now := events(t, file+".moved"), events(t, file); len(moved) != 2 || len(now) != 1 || now[0].Reference != "v3" {
		t.Errorf("%v, %v", moved, now)
	}
	os.Remove(file)
	os.Mkdir(file, 0o700)
	if err := l.Reopen(); err == nil {
		t.Error("a folder was opened")
	}
	l.Write(push(4))
	if s := l.Stats(); s.Written != 4 || s.Lost != 0 {
		t.Errorf("%+v: it does not go on in the file before", s)
	}
}

// full makes files of this process end at so many bytes, as a full disk would, until
// its return value is called.
func full(t *testing.T, limit uint64) (room func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	now := before
	now.Cur = limit
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &now); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
	}
}

// A full disk costs events, and nothing else: they are counted, it is said once, and the
// log says itself how many are missing.
func TestFullDisk(t *testing.T) {
	l, file, said := open(t, audit.Options{})
	l.Write(push(1))
	room := full(t, 150) // in the middle of the second
	for n := range 5 {
		l.Write(push(n + 2))
	}
	room()
	failing := l.Stats()
	l.Write(push(7))
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	var last audit.Event
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Lost != 5 || last.Reference != "v7" {
		t.Errorf("%v, %q", err, lines)
	}
	if s := l.Stats(); !failing.Failing || s.Failing || s.Written != 2 || s.Lost != 5 {
		t.Errorf("%+v, then %+v", failing, s)
	}
	if strings.Count(said.String(), "level=ERROR") != 1 || strings.Count(said.String(), "is written again") != 1 {
		t.Errorf("%s", said)
	}
}

func TestUnsaid(t *testing.T) {
	l, file, _ := open(t, audit.Options{})
	l.LeaveOut()
	l.LeaveOut()
	l.Write(push(1))
	l.Write(push(2))
	if got := events(t, file); got[0].Unsaid != 2 || got[1].Unsaid != 0 || l.Stats().Unsaid != 2 {
		t.Errorf("%+v, %+v", got, l.Stats())
	}
}

// After the log was closed nothing fails but what is written is lost.
func TestClosed(t *testing.T) {
	l, _, _ := open(t, audit.Options{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.Write(push(1))
	l.Sync()
	if s := l.Stats(); s.Lost != 1 || l.Reopen() == nil || l.Close() == nil {
		t.Errorf("%+v", s)
	}
}

// opened counts the files below a folder that this process has open.
func opened(t *testing.T, folder string) (n int) {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range all {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, folder+"/") {
			n++
		}
	}
	return n
}

// In the background all is synced, and files that were replaced are closed.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, file, said := open(t, audit.Options{Size: 200})
		go l.Run(t.Context())
		for n := range 10 {
			l.Write(push(n))
		}
		before := opened(t, filepath.Dir(file))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if after := opened(t, filepath.Dir(file)); before < 5 || after != 1 || said.Len() > 0 {
			t.Errorf("%d files were open, and %d are: %s", before, after, said)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	if _, err := audit.Open(audit.Options{File: filepath.Join(t.TempDir(), "none", "audit.log")}); err == nil {
		t.Error("there is no such folder")
	}
}

func BenchmarkWrite(b *testing.B) {
	l, err := audit.Open(audit.Options{File: filepath.Join(b.TempDir(), "audit.log")})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	e := audit.Event{ID: "abc", Identity: "alice", Kind: "user", Client: "192.0.2.1", Action: "push manifest", Repository: "team/app", Reference: "v1", Result: audit.Done, Status: 201}
	b.ReportAllocs()
	for b.Loop() {
		l.Write(e)
	}
}
