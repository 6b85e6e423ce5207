package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"shibafu.dev/step7-security/auth/password"
)

// SetUser adds a user, or gives one another password. ErrName.
func (d *Directory) SetUser(name string, hash password.Hash) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if d.Users == nil {
		d.Users = map[string]UserEntry{}
	}
	entry := d.Users[name]
	entry.Password = hash.String()
	d.Users[name] = entry
	return nil
}

// DisableUser keeps a user out, or lets them in again. ErrUnknown.
func (d *Directory) DisableUser(name string, disabled bool) error {
	entry, known := d.Users[name]
	if !known {
		return ErrUnknown
	}
	entry.Disabled = disabled
	d.Users[name] = entry
	return nil
}

// RemoveUser takes a user out, of all groups too. ErrUnknown.
func (d *Directory) RemoveUser(name string) error {
	if _, known := d.Users[name]; !known {
		return ErrUnknown
	}
	delete(d.Users, name)
	d.leave(name)
	return nil
}

const (
	// secretLen is the length of a robot's secret, in bytes.
	secretLen = 32
	// secretPrefix tells people, and programs that look for lost secrets, what one is.
	secretPrefix = "shibafu_robot_"
)

// AddRobot adds a robot and returns its secret, which is kept nowhere; expires may be zero.
// ErrName, ErrExists.
func (d *Directory) AddRobot(name, note string, expires time.Time) (secret string, err error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	if _, known := d.Robots[name]; known {
		return "", ErrExists
	}
	if d.Robots == nil {
		d.Robots = map[string]RobotEntry{}
	}
	return d.giveSecret(name, RobotEntry{Expires: expires, Note: note}), nil
}

// RenewRobot gives a robot another secret, which counts in the place of the one before,
// and returns it; expires may be zero. ErrUnknown.
func (d *Directory) RenewRobot(name string, expires time.Time) (secret string, err error) {
	entry, known := d.Robots[name]
	if !known {
		return "", ErrUnknown
	}
	entry.Expires = expires
	return d.giveSecret(name, entry), nil
}

// giveSecret makes a secret for a robot, whose entry is otherwise as it should be.
func (d *Directory) giveSecret(name string, entry RobotEntry) (secret string) {
	raw := make([]byte, secretLen)
	rand.Read(raw)
	secret = secretPrefix + base64.RawURLEncoding.EncodeToString(raw)
	entry.Secret, entry.Created = hashSecret(secret), time.Now().UTC().Truncate(time.Second)
	d.Robots[name] = entry
	return secret
}

// DisableRobot keeps a robot out, or lets it in again. ErrUnknown.
func (d *Directory) DisableRobot(name string, disabled bool) error {
	entry, known := d.Robots[name]
	if !known {
		return ErrUnknown
	}
	entry.Disabled = disabled
	d.Robots[name] = entry
	return nil
}

func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// RemoveRobot takes a robot out, of all groups too. ErrUnknown.
func (d *Directory) RemoveRobot(name string) error {
	if _, known := d.Robots[name]; !known {
		return ErrUnknown
	}
	delete(d.Robots, name)
	d.leave(RobotPrefix + name)
	return nil
}

// Join puts a member into a group, which is made if need be. ErrName, ErrExists.
func (d *Directory) Join(group, member string) error {
	if CheckName(group) != nil || !isMember(member) {
		return ErrName
	}
	if slices.Contains(d.Groups[group], member) {
		return ErrExists
	}
	if d.Groups == nil {
		d.Groups = map[string][]string{}
	}
	d.Groups[group] = append(d.Groups[group], member)
	return nil
}

// Leave takes a member out of a group, which ends with its last one. ErrUnknown.
func (d *Directory) Leave(group, member string) error {
	if !slices.Contains(d.Groups[group], member) {
		return ErrUnknown
	}
	d.drop(group, member)
	return nil
}

// RemoveGroup takes a group away; its members stay. ErrUnknown.
func (d *Directory) RemoveGroup(name string) error {
	if _, known := d.Groups[name]; !known {
		return ErrUnknown
	}
	delete(d.Groups, name)
	return nil
}

func (d *Directory) leave(member string) {
	for group := range d.Groups {
		d.drop(group, member)
	}
}

func (d *Directory) drop(group, member string) {
	d.Groups[group] = slices.DeleteFunc(d.Groups[group], func(m string) bool { return m == member })
	if len(d.Groups[group]) == 0 {
		delete(d.Groups, group)
	}
}

// RobotName is the name of a robot without its prefix; ok is false for others.
func RobotName(name string) (robot string, ok bool) { return strings.CutPrefix(name, RobotPrefix) }
