package journal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
)

func name(t *testing.T) string { return filepath.Join(t.TempDir(), "journal") }

// open opens the journal as a process does that starts, and wants it to hold these
// payloads.
func open(t *testing.T, name string, want ...string) *Journal {
	t.Helper()
	j, payloads, err := Open(name, func(*os.File) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.file.Close() })
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

func reset(t *testing.T, j *Journal) {
	t.Helper()
	if err := j.Reset(); err != nil {
		t.Fatal(err)
	}
}

func trim(t *testing.T, j *Journal) {
	t.Helper()
	if err := j.Trim(); err != nil {
		t.Fatal(err)
	}
}

// Whatever was done to the journal before, a process that comes after a crash finds
// the records since the last Reset, in order, and no others.
func TestCommitted(t *testing.T) {
	long := strings.Repeat("x", growBy)
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, j *Journal)
		want []string
	}{
		{"nothing", func(*testing.T, *Journal) {}, nil},
		{"nothing, with the reserve", trim, nil},
		{"one", func(t *testing.T, j *Journal) { commit(t, j, "a") }, []string{"a"}},
		{"one, in the reserve", func(t *testing.T, j *Journal) {
			trim(t, j)
			commit(t, j, "a")
		}, []string{"a"}},
		{"empty and long ones", func(t *testing.T, j *Journal) { commit(t, j, "", long, "b") }, []string{"", long, "b"}},
		{"reset", func(t *testing.T, j *Journal) {
			commit(t, j, "a", "b")
			reset(t, j)
		}, nil},
		{"reset, and some of the same length over them", func(t *testing.T, j *Journal) {
			commit(t, j, "a1", "a2", "a3")
			reset(t, j)
			commit(t, j, "b1", "b2")
		}, []string{"b1", "b2"}},
		{"reset, and the same over them", func(t *testing.T, j *Journal) {
			commit(t, j, "a1", "a2", "a3")
			reset(t, j)
			commit(t, j, "a1")
		}, []string{"a1"}},
		{"trimmed, and used again", func(t *testing.T, j *Journal) {
			commit(t, j, "a", long)
			trim(t, j)
			commit(t, j, "c")
		}, []string{"c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := name(t)
			j := open(t, file)
			tt.do(t, j)
			payloads, err := j.Payloads()
			if err != nil && tt.want != nil {
				t.Error(err)
			}
			wantPayloads(t, payloads, tt.want...)
			j = open(t, file, tt.want...)
			trim(t, j)
			commit(t, j, "next")
			open(t, file, "next")
		})
	}
}

// An empty journal takes the reserve; what it takes beyond it can spare.
func TestTrim(t *testing.T) {
	file := name(t)
	j := open(t, file)
	size := func() int64 {
		fi, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		return fi.Size()
	}
	for i := range 3 {
		trim(t, j)
		if size() != Reserve || j.Spare() != 0 || !j.Empty() {
			t.Fatalf("round %d: %d bytes, %d to spare", i, size(), j.Spare())
		}
		commit(t, j, "a")
		if size() != Reserve || j.Empty() {
			t.Errorf("round %d: with a small record it takes %d bytes", i, size())
		}
		commit(t, j, strings.Repeat("x", Reserve))
		if got := j.Spare(); got != size()-Reserve || got == 0 {
			t.Errorf("round %d: %d to spare of %d", i, got, size())
		}
	}
	trim(t, j)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
}

// A journal that holds something, or that failed, stays for the next process; and one
// whose sync failed does not hold what was refused.
func TestCloseKeeps(t *testing.T) {
	file := name(t)
	j := open(t, file)
	commit(t, j, "a")
	j.Close()
	j = open(t, file, "a")
	j.sync = func(*os.File) error { return syscall.EIO }
	for range 2 {
		if _, err := j.Commit([]byte("b")); !errors.Is(err, syscall.EIO) {
			t.Errorf("Commit: %v", err)
		}
		j.sync = func(*os.File) error { return nil } // is not to be believed
	}
	payloads, err := j.Payloads()
	if err != nil {
		t.Error(err)
	}
	wantPayloads(t, payloads, "a")
	j.Close()
	open(t, file, "a")
}

// limit has files end at a size while f runs, as on a disk that is full.
func limit(t *testing.T, size uint64, f func()) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old)
	f()
}

// What there was no room for is not committed, also if all or some of it was written;
// what shares its moment, and fits, is.
func TestShortOfRoom(t *testing.T) {
	for _, room := range []uint64{0, 10, 30, 100, 1000} { // of bytes, behind the first records
		synctest.Test(t, func(t *testing.T) {
			file := name(t)
			j := open(t, file)
			commit(t, j, "a")
			opened := make(chan struct{})
			j.sync = func(*os.File) error { <-opened; return nil }
			go j.Commit(nil) // the others wait for this one
			synctest.Wait()
			j.length = j.end + headerSize
			if err := j.file.Truncate(j.length); err != nil {
				t.Fatal(err)
			}
			payloads := []string{"x", "y", strings.Repeat("z", 2000), "w"}
			errs := make([]error, len(payloads))
			limit(t, uint64(j.length)+room, func() {
				for i, p := range payloads {
					go func() { _, errs[i] = j.Commit([]byte(p)) }()
					synctest.Wait()
				}
				close(opened)
				synctest.Wait()
			})
			want := []string{"a", ""}
			for i, err := range errs {
				if err == nil {
					want = append(want, payloads[i])
				} else if !errors.Is(err, syscall.EFBIG) {
					t.Errorf("room %d: %v", room, err)
				}
			}
			if errs[2] == nil || room == 0 && len(want) > 2 || room >= 100 && len(want) != 5 {
				t.Errorf("room %d: %v", room, errs)
			}
			open(t, file, want...)
			if j.Failed() != nil {
				t.Errorf("room %d: %v", room, j.Failed())
			}
			// What comes next is not followed by what was refused.
			commit(t, j, "x")
			open(t, file, append(want, "x")...)
		})
	}
}

// A file that no process of ours left is not taken for an empty one.
func TestDamaged(t *testing.T) {
	file := name(t)
	commit(t, open(t, file), "a")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range recordsAt {
		damaged := slices.Clone(raw)
		damaged[i] ^= 1
		if err := os.WriteFile(file, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(file); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	for _, tt := range []struct {
		name string
		raw  []byte
	}{
		{"empty", nil},
		{"cut in its header", raw[:recordsAt-1]},
		{"zeros", make([]byte, Reserve)},
	} {
		if err := os.WriteFile(file, tt.raw, 0o644); err != nil {
			t.Fatal(err)
		}
		j := open(t, file)
		trim(t, j)
		commit(t, j, "b")
		open(t, file, "b")
	}
}

// FuzzRecords reads anything without harm, and of what was written no more than that.
func FuzzRecords(f *testing.F) {
	header, chain := newHeader()
	raw, chain := appendRecord(nil, chain, 7, []byte("a"))
	raw, _ = appendRecord(raw, chain, 9, nil)
	f.Add(append(header, raw...), 600)
	f.Fuzz(func(t *testing.T, raw []byte, flip int) {
		header, chain := newHeader()
		written, _ := appendRecord(nil, chain, 1, raw)
		file := append(header, written...)
		r, err := parse(file)
		if err != nil || len(r.payloads) != 1 || string(r.payloads[0]) != string(raw) {
			t.Errorf("%q is read as %q, %v", raw, r.payloads, err)
		}
		file[uint(flip)%uint(len(file))] ^= 1
		if r, err := parse(file); err == nil && len(r.payloads) > 0 {
			t.Errorf("damaged at byte %d it still holds %q", uint(flip)%uint(len(file)), r.payloads)
		}
		parse(append(header, raw...))
	})
}
