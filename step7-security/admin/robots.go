package admin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"shibafu.dev/step7-security/auth"
)

// Robot is a robot as a list shows it.
type Robot struct {
	Name string `json:"name"`
	// Login is the name that it logs in with: "robot$ci".
	Login    string    `json:"login"`
	Note     string    `json:"note,omitempty"`
	Disabled bool      `json:"disabled"`
	Created  time.Time `json:"created"`          // when its secret was
	Expires  time.Time `json:"expires,omitzero"` // absent if it does not
	LastUse  time.Time `json:"lastUse,omitzero"` // to the second; absent if it was not used
	Groups   []string  `json:"groups"`
}

// NewRobot is what is said of a robot that is added.
type NewRobot struct {
	Name string `json:"name"`
	Note string `json:"note,omitempty"`
	// Expires is a time to come, as of RFC 3339, or "never", which is what "" stands for.
	Expires string   `json:"expires,omitempty"`
	Groups  []string `json:"groups,omitempty"`
}

// Secret is what a robot logs in with. It is shown once and kept nowhere.
type Secret struct {
	Login   string    `json:"login"`
	Secret  string    `json:"secret"`
	Expires time.Time `json:"expires,omitzero"`
}

// Never is the text of an expiry that does not come.
const Never = "never"

// maxNote is the longest note, in bytes.
const maxNote = 500

// Robots are all robots, sorted by name.
func (d *Directory) Robots() ([]Robot, error) {
	file, err := auth.ReadDirectory(d.File)
	if err != nil {
		return nil, err
	}
	all := []Robot{}
	for _, name := range slices.Sorted(maps.Keys(file.Robots)) {
		entry, login := file.Robots[name], auth.RobotPrefix+name
		all = append(all, Robot{
			Name: name, Login: login, Note: entry.Note, Disabled: entry.Disabled, Created: entry.Created, Expires: entry.Expires,
			LastUse: d.Accounts.LastUse(name), Groups: groupsOf(file, login),
		})
	}
	return all, nil
}

// AddRobot adds a robot. Its errors are auth.ErrName, auth.ErrExists and ErrValue.
func (d *Directory) AddRobot(r NewRobot) (Secret, error) {
	if len(r.Note) > maxNote || strings.ContainsFunc(r.Note, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return Secret{}, fmt.Errorf("%w: a note is one line of at most %d bytes", ErrValue, maxNote)
	}
	expires, err := parseExpiry(r.Expires)
	if err != nil {
		return Secret{}, err
	}
	secret := Secret{Login: auth.RobotPrefix + r.Name, Expires: expires}
	err = d.edit(func(file *auth.Directory) (err error) {
		if taken(file.Robots, r.Name) {
			return auth.ErrExists
		}
		if secret.Secret, err = file.AddRobot(r.Name, r.Note, expires); err != nil {
			return err
		}
		return join(file, secret.Login, r.Groups)
	})
	return secret, err
}

// RenewRobot gives a robot another secret; the one before is void at once. If nothing is
// said of when it expires, it lives as long as the one before was to. Its errors are
// auth.ErrUnknown and ErrValue.
func (d *Directory) RenewRobot(name, expiry string) (Secret, error) {
	expires, err := parseExpiry(expiry)
	if err != nil {
		return Secret{}, err
	}
	secret := Secret{Login: auth.RobotPrefix + name, Expires: expires}
	err = d.edit(func(file *auth.Directory) (err error) {
		if entry := file.Robots[name]; expiry == "" && !entry.Expires.IsZero() {
			secret.Expires = time.Now().UTC().Truncate(time.Second).Add(entry.Expires.Sub(entry.Created))
		}
		secret.Secret, err = file.RenewRobot(name, secret.Expires)
		return err
	})
	return secret, err
}

// DisableRobot keeps a robot out, or lets it in again. auth.ErrUnknown.
func (d *Directory) DisableRobot(name string, disabled bool) error {
	return d.edit(func(file *auth.Directory) error { return file.DisableRobot(name, disabled) })
}

// RemoveRobot takes a robot away, out of all groups too. auth.ErrUnknown.
func (d *Directory) RemoveRobot(name string) error {
	return d.edit(func(file *auth.Directory) error { return file.RemoveRobot(name) })
}

// parseExpiry reads when a secret expires; zero if it does not. ErrValue.
func parseExpiry(text string) (time.Time, error) {
	if text == "" || text == Never {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || !t.After(time.Now()) {
		return time.Time{}, fmt.Errorf("%w: want a time to come, as 2006-01-02T15:04:05Z, or never", ErrValue)
	}
	return t.UTC(), nil
}
