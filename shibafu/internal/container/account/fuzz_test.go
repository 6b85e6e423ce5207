package account

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Root is only who says so: by "", by "0", or by the name in a line whose number is
// the one digit 0. The same holds for each group.
func FuzzResolve(f *testing.F) {
	f.Add("app:staff", passwd, group)
	f.Add("1000", passwd, group)
	f.Add("4294967296", "4294967296:x:0:0::/:", "")
	f.Add("a", "a:x:4294967296:0::/:", "g:x:-1:a")
	f.Fuzz(func(t *testing.T, text, passwd, group string) {
		a, err := Resolve(text, strings.NewReader(passwd), strings.NewReader(group))
		if err != nil {
			if a.Groups != nil || a.UID != 0 || a.GID != 0 || a.Home != "" {
				t.Errorf("%+v beside %v", a, err)
			}
			return
		}
		user, groupName, hasGroup := strings.Cut(text, ":")
		if user == "" {
			user = "0"
		}
		if !says(passwd, user, a.UID) {
			t.Errorf("%q is %d", text, a.UID)
		}
		if hasGroup && !says(group, groupName, a.GID) {
			t.Errorf("%q is of group %d", text, a.GID)
		}
		if !strings.HasPrefix(a.Home, "/") || strings.ContainsAny(a.Home, "\x00\n:") {
			t.Errorf("home %q", a.Home)
		}
		if a.UID == 1<<32-1 || slices.Contains(a.Groups, 1<<32-1) || a.Groups[0] != a.GID {
			t.Errorf("%+v", a)
		}
	})
}

// says tells whether who is number, or a name that a line of the file gives number.
func says(file, who string, number uint32) bool {
	digits := strconv.FormatUint(uint64(number), 10)
	if who == digits {
		return true
	}
	for line := range strings.SplitSeq(file, "\n") {
		if f := strings.Split(line, ":"); len(f) >= 3 && f[0] == who && f[2] == digits {
			return true
		}
	}
	return false
}
