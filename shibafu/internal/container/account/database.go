package account

import (
	"fmt"
	"io"
)

// MaxFile is how many bytes of a file are looked at. A larger one is refused, unless
// the answer was found before that.
const MaxFile = 4 << 20

const (
	maxField  = 4096  // bytes, what Linux takes for a path; a line with a longer field is passed over
	maxGroups = 65536 // what Linux takes for a process (NGROUPS_MAX)
)

// user is a line of /etc/passwd.
type user struct {
	name     string
	uid, gid uint32
	home     string
}

// findUser finds the first line of a user. Lines that are malformed are passed over,
// but not one that has the user's name, since its number would be the answer.
func findUser(passwd io.Reader, who id) (u user, found bool, err error) {
	if passwd == nil {
		return user{}, false, nil
	}
	t := newTable(passwd)
	for {
		f, err := t.line()
		if err == io.EOF {
			return user{}, false, nil
		}
		if err != nil {
			return user{}, false, err
		}
		if len(f) < 4 || !isName(f[0]) || who.isName() && string(f[0]) != who.name {
			continue
		}
		uid, ok := parseNumber(f[2])
		if !who.isName() && (!ok || uid != who.number) {
			continue
		}
		gid, okGroup := parseNumber(f[3])
		if !ok || !okGroup {
			return user{}, false, fmt.Errorf("%w: %q has the numbers %.20q and %.20q", ErrFile, f[0], f[2], f[3])
		}
		return user{name: string(f[0]), uid: uid, gid: gid, home: homeOf(f)}, true, nil
	}
}

func homeOf(fields [][]byte) string {
	const at = 5
	if len(fields) <= at || len(fields[at]) == 0 || fields[at][0] != '/' {
		return "/"
	}
	return string(fields[at])
}

// lookUpGroup finds the number in a group's first line.
func lookUpGroup(group io.Reader, name string) (gid uint32, found bool, err error) {
	if group == nil {
		return 0, false, nil
	}
	t := newGroupTable(group, "")
	for {
		f, err := t.line()
		if err == io.EOF {
			return 0, false, nil
		}
		if err != nil {
			return 0, false, err
		}
		if len(f) >= 3 && string(f[0]) == name {
			gid, err := groupNumber(f)
			return gid, err == nil, err
		}
	}
}

func groupNumber(fields [][]byte) (uint32, error) {
	gid, ok := parseNumber(fields[2])
	if !ok {
		return 0, fmt.Errorf("%w: %q has the number %.20q", ErrFile, fields[0], fields[2])
	}
	return gid, nil
}

// memberships returns own and the numbers of all groups that list the user.
func memberships(group io.Reader, user string, own uint32) ([]uint32, error) {
	groups := []uint32{own}
	if group == nil {
		return groups, nil
	}
	known := map[uint32]bool{own: true}
	t := newGroupTable(group, user)
	for {
		f, err := t.line()
		if err == io.EOF {
			return groups, nil
		}
		if err != nil {
			return nil, err
		}
		if len(f) < 4 || !isName(f[0]) || !t.listed {
			continue
		}
		gid, err := groupNumber(f)
		if err != nil {
			return nil, err
		}
		if known[gid] {
			continue
		}
		if len(groups) == maxGroups {
			return nil, fmt.Errorf("%w: more than %d groups", ErrFile, maxGroups)
		}
		known[gid] = true
		groups = append(groups, gid)
	}
}
