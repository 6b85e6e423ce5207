package journal

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func names(t *testing.T) Names {
	folder := t.TempDir()
	return Names{folder + "/0", folder + "/1"}
}

func open(t *testing.T, n Names, want ...string) *Journal {
	t.Helper()
	j, payloads, err := Open(n, func(*os.File) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.closeFiles() })
	wantPayloads(t, payloads, want...)
	return j
}

func wantPayloads(t *testing.T, payloads [][]byte, want ...string) {
	t.Helper()
	var got []string
	for _, p := range payloads {
		got = append(got, string(p))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the journal holds %.100q, want %.100q", got, want)
	}
}

func commit(t *testing.T, j *Journal, payloads ...string) {
	t.Helper()
	for _, p := range payloads {
		if _, err := j.Commit([]byte(p)); err != nil {
			t.Fatal(err)
		}
	}
}

// checkpoint is what the owner does to empty the file that is in use.
func checkpoint(t *testing.T, j *Journal) {
	t.Helper()
	old, ok := j.SwitchOver()
	if !ok {
		t.Fatal("there is nothing to switch over from")
	}
	j.Release(old)
}

// Whatever was done to the journal before, a process that comes after a crash finds
// the records that were not released, and perhaps others before them, in order.
func TestCommitted(t *testing.T) {
	long := strings.Repeat("x", growBy)
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, j *Journal)
		want []string
	}{
		{"nothing", func(*testing.T, *Journal) {}, nil},
		{"one", func(t *testing.T, j *Journal) { commit(t, j, "a") }, []string{"a"}},
		{"empty and long ones", func(t *testing.T, j *Journal) { commit(t, j, "", long, "b") }, []string{"", long, "b"}},
		{"in both files", func(t *testing.T, j *Journal) {
			commit(t, j, "a", "b")
			j.SwitchOver()
			commit(t, j, "c")
		}, []string{"a", "b", "c"}},
		{"released, but not overwritten yet", func(t *testing.T, j *Journal) {
			commit(t, j, "a", "b")
			checkpoint(t, j)
			commit(t, j, "c")
		}, []string{"a", "b", "c"}},
		{"over released ones", func(t *testing.T, j *Journal) {
			commit(t, j, "a1", "a2", "a3")
			checkpoint(t, j)
			commit(t, j, "b1", "b2")
			checkpoint(t, j)
			commit(t, j, "c1")
		}, []string{"b1", "b2", "c1"}},
		{"trimmed", func(t *testing.T, j *Journal) {
			commit(t, j, "a")
			checkpoint(t, j)
			commit(t, j, "b")
			checkpoint(t, j)
			if err := j.Trim(); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"trimmed, and used again", func(t *testing.T, j *Journal) {
			commit(t, j, "a", long)
			checkpoint(t, j)
			commit(t, j, "b")
			checkpoint(t, j)
			if err := j.Trim(); err != nil {
				t.Fatal(err)
			}
			commit(t, j, "c")
			j.SwitchOver()
			commit(t, j, "d")
		}, []string{"c", "d"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := names(t)
			tt.do(t, open(t, n))
			j := open(t, n, tt.want...)
			if err := j.Trim(); err != nil {
				t.Fatal(err)
			}
			commit(t, j, "next")
			open(t, n, "next")
		})
	}
}

// An empty journal takes the reserve, whichever of the files had the room.
func TestTrim(t *testing.T) {
	n := names(t)
	j := open(t, n)
	size := func() (total int64) {
		for _, name := range n {
			fi, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			total += fi.Size()
		}
		return total
	}
	for i := range 3 {
		if err := j.Trim(); err != nil || size() != Reserve || j.Spare() != 0 {
			t.Fatalf("round %d: %d bytes, %d to spare, %v", i, size(), j.Spare(), err)
		}
		commit(t, j, "a")
		if size() != Reserve {
			t.Errorf("round %d: with a small record it takes %d bytes", i, size())
		}
		commit(t, j, strings.Repeat("x", Reserve))
		if got := j.Spare(); got != size()-Reserve || got == 0 {
			t.Errorf("round %d: %d to spare of %d", i, got, size())
		}
		checkpoint(t, j)
	}
	j.Trim()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range n {
		if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
}

// A journal that holds something, or that failed, stays for the next process.
func TestCloseKeeps(t *testing.T) {
	n := names(t)
	j := open(t, n)
	commit(t, j, "a")
	j.Close()
	j = open(t, n, "a")
	j.Trim()
	j.sync = func(*os.File) error { return syscall.EIO }
	for range 2 {
		if _, err := j.Commit([]byte("b")); !errors.Is(err, syscall.EIO) {
			t.Errorf("Commit: %v", err)
		}
		j.sync = func(*os.File) error { return nil } // is not to be believed
	}
	j.Close()
	open(t, n, "b")
}

// What there was no room for was not committed, and the next record takes its place.
// The file is /dev/full, on which every write really fails.
func TestFull(t *testing.T) {
	n := names(t)
	j := open(t, n)
	commit(t, j, "a")
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	roomy := j.files[0].File
	j.files[0].File = full
	if _, err := j.Commit([]byte("b")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Commit: %v", err)
	}
	j.files[0].File = roomy
	commit(t, j, "c")
	open(t, n, "a", "c")
}

// If the second file does not go on where the first ends, what was committed is
// missing, and somebody has to look.
func TestGap(t *testing.T) {
	for _, tt := range []struct {
		name          string
		first, second uint64
		err           error
		want          []string
	}{
		{"they follow each other", 1, 3, nil, []string{"0:1", "0:2", "1:3", "1:4"}},
		{"numbers were used again", 1, 2, nil, []string{"0:1", "1:2", "1:3"}},
		{"the other way round", 9, 7, nil, []string{"1:7", "1:8", "0:9", "0:10"}},
		{"a record is missing", 1, 4, ErrGap, nil},
	} {
		n := names(t)
		for i, first := range []uint64{tt.first, tt.second} {
			raw := appendRecord(nil, first, fmt.Append(nil, i, ":", first))
			raw = appendRecord(raw, first+1, fmt.Append(nil, i, ":", first+1))
			if err := os.WriteFile(n[i], raw, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		payloads, err := Read(n)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", tt.name, err)
		}
		wantPayloads(t, payloads, tt.want...)
	}
}

// FuzzRecords reads anything without harm, and of what was written no more than that.
func FuzzRecords(f *testing.F) {
	f.Add(appendRecord(appendRecord(nil, 7, []byte("a")), 8, nil))
	f.Add(append(appendRecord(nil, 7, []byte("a")), appendRecord(nil, 9, nil)...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		first, payloads := readRecords(raw)
		var again []byte
		for i, payload := range payloads {
			again = appendRecord(again, first+uint64(i), payload)
		}
		if !strings.HasPrefix(string(raw), string(again)) {
			t.Errorf("%q is read as %q", raw, again)
		}
	})
}
