// Package account says who a process in a container is: which numbers stand for the
// user that an image or the command line names, by the container's own /etc/passwd
// and /etc/group.
//
// Both files are the image's, so they say anything. They are read in one pass with
// a few kilobytes of memory, never beyond MaxFile, and no text that is not strictly
// a number ever becomes one: where other programs make 0 of what they cannot read,
// here is an error.
//
// account.go has the rules, spec.go the text that they start from; database.go looks
// things up in the two files, which table.go reads.
//
// Source: OCI image specification, config.md, "User"; what docker does where that is
// silent (github.com/moby/sys/user, GetExecUser); passwd(5), group(5).
package account

import (
	"errors"
	"fmt"
	"io"
)

var (
	// ErrSpec says that a text names no user in any form that is allowed.
	ErrSpec = errors.New("not user, uid, user:group or uid:gid")
	// ErrUnknown says that there is no user or group of this name.
	ErrUnknown = errors.New("no such name")
	// ErrFile says that a file is damaged where the answer is, or too large to have
	// one.
	ErrFile = errors.New("invalid file")
)

// Account is who a process is.
type Account struct {
	// UID and GID are never 4294967295, which is no number of anybody.
	UID, GID uint32
	// Groups are the supplementary groups for setgroups(2): GID first, then those of
	// which the user is a member, in the file's order, each once.
	Groups []uint32
	// Home is an absolute path: that of the user's line, "/" if there is none or it
	// has no such path.
	Home string
}

// Resolve finds out who text is: "user", "uid", "user:group" or "uid:gid", each part
// a name or a number, and "" the same as "0". passwd and group are the contents of
// the container's files of that name, nil for one that is not there.
//
// A number is decimal, 0 to 4294967294, without sign and without zeros before it;
// what begins with a digit is only ever a number. It need not be in the file. If the
// user's is, its line gives the rest, as it does for a name: of several lines the
// first. Without a line the group is 0. A name must be in the file.
//
// If text names a group, it is the only one: the user's others are left out, as
// docker does. GID is among Groups as well, also docker's way: a process cannot rid
// itself of its group by taking another one (CVE-2022-36109).
//
// Errors are ErrSpec, ErrUnknown or ErrFile, or what the readers say.
func Resolve(text string, passwd, group io.Reader) (Account, error) {
	spec, err := parse(text)
	if err != nil {
		return Account{}, fmt.Errorf("user %q: %w", shorten(text), err)
	}
	a := Account{UID: spec.user.number, Home: "/"}
	line, found, err := findUser(passwd, spec.user)
	switch {
	case err != nil:
		return Account{}, fmt.Errorf("user %q in /etc/passwd: %w", spec.user, err)
	case found:
		a.UID, a.GID, a.Home = line.uid, line.gid, line.home
	case spec.user.isName():
		return Account{}, fmt.Errorf("user %q: %w in /etc/passwd", spec.user, ErrUnknown)
	}
	if spec.hasGroup {
		a.GID, err = findGroup(group, spec.group)
		a.Groups = []uint32{a.GID}
	} else {
		a.Groups, err = groupsOf(group, line.name, a.GID)
	}
	if err != nil {
		return Account{}, err
	}
	return a, nil
}

// findGroup finds the number of a group.
func findGroup(group io.Reader, who id) (uint32, error) {
	if !who.isName() {
		return who.number, nil
	}
	gid, found, err := lookUpGroup(group, who.name)
	if err != nil {
		return 0, fmt.Errorf("group %q in /etc/group: %w", who, err)
	}
	if !found {
		return 0, fmt.Errorf("group %q: %w in /etc/group", who, ErrUnknown)
	}
	return gid, nil
}

// groupsOf returns own and the groups of which the user of that name, "" for one
// that has none, is a member.
func groupsOf(group io.Reader, name string, own uint32) ([]uint32, error) {
	if name == "" {
		return []uint32{own}, nil
	}
	groups, err := memberships(group, name, own)
	if err != nil {
		return nil, fmt.Errorf("groups of %q in /etc/group: %w", name, err)
	}
	return groups, nil
}
