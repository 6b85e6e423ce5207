package admin

import (
	"errors"
	"maps"
	"slices"

	"shibafu.dev/step7-security/auth"
)

// Group is a group as a list shows it.
type Group struct {
	Name string `json:"name"`
	// Members are users, robots ("robot$ci"), and what others vouch for ("oidc$…", "cert$…").
	Members []string `json:"members"`
}

// Groups are all groups, sorted by name.
func (d *Directory) Groups() ([]Group, error) {
	file, err := auth.ReadDirectory(d.File)
	if err != nil {
		return nil, err
	}
	all := []Group{}
	for _, name := range slices.Sorted(maps.Keys(file.Groups)) {
		members := slices.Clone(file.Groups[name])
		slices.Sort(members)
		all = append(all, Group{name, members})
	}
	return all, nil
}

// Join puts a member into a group, which is made if need be; who is in it stays. The
// member may be unknown here, as others may know it. auth.ErrName, and auth.ErrExists for
// a group whose name differs from another's in case alone.
func (d *Directory) Join(group, member string) error {
	return d.edit(func(file *auth.Directory) error {
		if _, known := file.Groups[group]; !known && taken(file.Groups, group) {
			return auth.ErrExists
		}
		if err := file.Join(group, member); !errors.Is(err, auth.ErrExists) {
			return err
		}
		return nil
	})
}

// Leave takes a member out of a group, which ends with its last one. auth.ErrUnknown.
func (d *Directory) Leave(group, member string) error {
	return d.edit(func(file *auth.Directory) error { return file.Leave(group, member) })
}

// RemoveGroup takes a group away; its members stay. auth.ErrUnknown.
func (d *Directory) RemoveGroup(group string) error {
	return d.edit(func(file *auth.Directory) error { return file.RemoveGroup(group) })
}
