package admin

import (
	"maps"
	"slices"
	"strings"

	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/password"
)

// User is a user as a list shows it.
type User struct {
	Name     string   `json:"name"`
	Disabled bool     `json:"disabled"`
	Groups   []string `json:"groups"`
	// Htpasswd is set for one that only the htpasswd file has, which is not changed here.
	Htpasswd bool `json:"htpasswd,omitempty"`
}

// NewUser is what is said of a user that is added.
type NewUser struct {
	Name     string   `json:"name"`
	Password string   `json:"password"`
	Groups   []string `json:"groups,omitempty"`
}

// Users are all users, sorted by name.
func (d *Directory) Users() ([]User, error) {
	file, err := auth.ReadDirectory(d.File)
	if err != nil {
		return nil, err
	}
	all := []User{}
	for name, entry := range file.Users {
		all = append(all, User{Name: name, Disabled: entry.Disabled, Groups: groupsOf(file, name)})
	}
	for _, name := range d.Accounts.HtpasswdUsers() {
		if _, both := file.Users[name]; !both {
			all = append(all, User{Name: name, Groups: groupsOf(file, name), Htpasswd: true})
		}
	}
	slices.SortFunc(all, func(a, b User) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// AddUser adds a user. Its errors are auth.ErrName, auth.ErrExists, password.ErrPassword
// and password.ErrWeak.
func (d *Directory) AddUser(u NewUser) error {
	hash, err := d.hash(u.Name, u.Password)
	if err != nil {
		return err
	}
	return d.edit(func(file *auth.Directory) error {
		if taken(file.Users, u.Name) {
			return auth.ErrExists
		}
		if err := file.SetUser(u.Name, hash); err != nil {
			return err
		}
		return join(file, u.Name, u.Groups)
	})
}

// SetPassword gives a user another password. Its errors are auth.ErrUnknown,
// password.ErrPassword and password.ErrWeak.
func (d *Directory) SetPassword(name, secret string) error {
	hash, err := d.hash(name, secret)
	if err != nil {
		return err
	}
	return d.edit(func(file *auth.Directory) error {
		if _, known := file.Users[name]; !known {
			return auth.ErrUnknown
		}
		return file.SetUser(name, hash)
	})
}

// hash hashes a password that somebody has chosen, before a file is locked, as it takes
// a while.
func (d *Directory) hash(name, secret string) (password.Hash, error) {
	if err := auth.CheckName(name); err != nil {
		return password.Hash{}, err
	}
	if err := password.CheckChosen(secret, name); err != nil {
		return password.Hash{}, err
	}
	return password.Make(secret, d.Rounds)
}

// DisableUser keeps a user out, or lets them in again. auth.ErrUnknown.
func (d *Directory) DisableUser(name string, disabled bool) error {
	return d.edit(func(file *auth.Directory) error { return file.DisableUser(name, disabled) })
}

// RemoveUser takes a user away, out of all groups too. auth.ErrUnknown.
func (d *Directory) RemoveUser(name string) error {
	return d.edit(func(file *auth.Directory) error { return file.RemoveUser(name) })
}

// groupsOf are the groups that a member is in, sorted.
func groupsOf(file *auth.Directory, member string) []string {
	groups := []string{}
	for _, group := range slices.Sorted(maps.Keys(file.Groups)) {
		if slices.Contains(file.Groups[group], member) {
			groups = append(groups, group)
		}
	}
	return groups
}
