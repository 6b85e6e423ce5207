package userns

import (
	"strings"
	"syscall"
	"testing"
)

func TestParseSubordinate(t *testing.T) {
	type ids = syscall.SysProcIDMap
	for _, tt := range []struct {
		name, file string
		want       []ids
	}{
		{"by name", "me:100000:65536\n", []ids{{ContainerID: 1, HostID: 100000, Size: 65536}}},
		{"by number", "1000:100000:65536", []ids{{ContainerID: 1, HostID: 100000, Size: 65536}}},
		{"two", "me:100000:10\nyou:200000:10\n1000:300000:5\n", []ids{{ContainerID: 1, HostID: 100000, Size: 10}, {ContainerID: 11, HostID: 300000, Size: 5}}},
		{"the same by name and by number", "me:100000:10\n1000:100000:10\n", []ids{{ContainerID: 1, HostID: 100000, Size: 10}}},
		{"two that overlap", "me:100000:10\nme:100009:10\n", []ids{{ContainerID: 1, HostID: 100000, Size: 10}}},
		{"one with the user himself", "me:500:1000\nme:2000:5\n", []ids{{ContainerID: 1, HostID: 2000, Size: 5}}},
		{"root", "me:0:10\n", nil},
		{"none at all", "me:100000:0\n", nil},
		{"beyond what there is", "me:4294967290:10\n", nil},
		{"the last", "me:4294967290:5\n", []ids{{ContainerID: 1, HostID: 4294967290, Size: 5}}},
		{"more than there are", "me:2000:4294960000\nme:1500:2\n", []ids{{ContainerID: 1, HostID: 2000, Size: 4294960000}, {ContainerID: 4294960001, HostID: 1500, Size: 2}}},
		{"a number that wraps", "me:18446744073709551616:1\n", nil},
		{"below zero", "me:-1:5\nme:5:-1\n", nil},
		{"too few parts", "me:5\n", nil},
		{"too many", "me:5:5:5\n", nil},
		{"a comment", "#me:2000:5\n", nil},
		{"somebody whose name begins so", "mee:2000:5\n", nil},
		{"no name", ":2000:5\n", nil},
		{"spaces", "  me:2000:5  \n", []ids{{ContainerID: 1, HostID: 2000, Size: 5}}},
	} {
		got := parseSubordinate([]byte(tt.file), []string{"1000", "me"}, 1000)
		if !equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func equal(a, b []syscall.SysProcIDMap) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// Whatever the file says, each id stands for one other, and none for root.
func FuzzParseSubordinate(f *testing.F) {
	f.Add("me:100000:65536\nme:1:1\n")
	f.Add("me:4294967290:5\nme:4294967290:5\n" + strings.Repeat("x", 70000))
	f.Fuzz(func(t *testing.T, file string) {
		next := 1
		ranges := parseSubordinate([]byte(file), []string{"me"}, 1000)
		for i, r := range ranges {
			if r.ContainerID != next || r.HostID <= 0 || r.Size <= 0 || r.HostID+r.Size > 1<<32-1 || overlap(r, one(1000)[0]) {
				t.Fatalf("%v", ranges)
			}
			for _, other := range ranges[:i] {
				if overlap(r, other) {
					t.Fatalf("%v", ranges)
				}
			}
			next += r.Size
		}
	})
}
