// Package admin is what somebody does who looks after a registry: users.go, robots.go and
// groups.go change the file of users, rules.go the file of rules, and asks what they
// allow. Whether somebody may do so is decided before.
package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"shibafu.dev/step7-security/auth"
)

// What the errors of this package are, besides those of auth, password and policy.
var (
	// ErrValue is a value that cannot be.
	ErrValue = errors.New("not a possible value")
	// ErrNotInForce is a change that is written and not in force, and why.
	ErrNotInForce = errors.New("written, but not in force")
	// ErrChanged is a file that somebody else has changed meanwhile.
	ErrChanged = errors.New("it has been changed meanwhile")
)

// Accounts are those that are in force; auth.Accounts are.
type Accounts interface {
	// Poll has the files read again if they have changed.
	Poll() error
	LastUse(robot string) time.Time
	GroupsOf(name string) []string
	HtpasswdUsers() []string
}

// Directory changes the file of users, and has each change be in force when it returns.
// Its methods may be called at the same time, by several processes too.
type Directory struct {
	File     string
	Accounts Accounts
	// Rounds is what a new password costs; 0 stands for password.DefaultRounds.
	Rounds int
}

// edit changes the file, whose folder is made if need be.
func (d *Directory) edit(change func(*auth.Directory) error) error {
	if err := makeFolder(d.File); err != nil {
		return err
	}
	if err := auth.Edit(d.File, change); err != nil {
		return err
	}
	if err := d.Accounts.Poll(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotInForce, err)
	}
	return nil
}

// makeFolder makes the folder of a file that is nobody's business but its owner's.
func makeFolder(file string) error {
	folder := filepath.Dir(file)
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(folder, 0o700); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// taken tells whether a name, in whatever case, is one of those in a map: two that differ
// in case alone would be taken for one another.
func taken[V any](all map[string]V, name string) bool {
	for known := range all {
		if strings.EqualFold(known, name) {
			return true
		}
	}
	return false
}

// join puts a member into groups.
func join(d *auth.Directory, member string, groups []string) error {
	for _, group := range groups {
		if err := d.Join(group, member); err != nil && !errors.Is(err, auth.ErrExists) {
			return fmt.Errorf("group %q: %w", group, err)
		}
	}
	return nil
}
