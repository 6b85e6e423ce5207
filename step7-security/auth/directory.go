package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"shibafu.dev/step7-security/auth/password"
	"shibafu.dev/step7-security/internal/durable"
	"shibafu.dev/step7-security/internal/strictjson"
)

// Directory is the file of users:
//
//	{
//	  "users":  {"alice": {"password": "$pbkdf2-sha256$…"},
//	             "bob":   {"password": "$2y$…", "disabled": true}},
//	  "robots": {"ci":    {"secret": "<SHA-256 in hex>", "created": "2026-01-31T12:00:00Z",
//	                       "expires": "2027-01-31T12:00:00Z", "note": "builds"}},
//	  "groups": {"team":  ["alice", "robot$ci", "cert$build-7"]}
//	}
//
// Members of groups may be unknown here: an htpasswd file or an issuer may know them.
type Directory struct {
	Users  map[string]UserEntry  `json:"users,omitempty"`
	Robots map[string]RobotEntry `json:"robots,omitempty"`
	Groups map[string][]string   `json:"groups,omitempty"`
}

// UserEntry is a user in the file.
type UserEntry struct {
	Password string `json:"password"` // a hash that password.Parse reads
	Disabled bool   `json:"disabled,omitempty"`
}

// RobotEntry is a robot in the file.
type RobotEntry struct {
	// Secret is the SHA-256 of the secret, in hex. A fast hash is right: slow ones make up
	// for passwords that can be guessed, and 256 random bits cannot.
	Secret   string    `json:"secret"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires,omitzero"` // zero if it does not
	Disabled bool      `json:"disabled,omitempty"`
	Note     string    `json:"note,omitempty"`
}

// maxDirectory bounds the file, in bytes.
const maxDirectory = 16 << 20

// ParseDirectory reads a file of users. A fault is an ErrDirectory that names the line and
// no secret.
func ParseDirectory(raw []byte) (*Directory, error) {
	if len(raw) > maxDirectory {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrDirectory, maxDirectory)
	}
	d := new(Directory)
	if err := strictjson.Decode(raw, d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDirectory, err)
	}
	if path, err := d.check(); err != nil {
		line := strictjson.Lines(raw)[path]
		return nil, fmt.Errorf("%w: line %d: %s: %w", ErrDirectory, line, path, err)
	}
	return d, nil
}

// check finds the first fault, and the path of the member that it is in.
func (d *Directory) check() (path string, err error) {
	for _, name := range slices.Sorted(maps.Keys(d.Users)) {
		if err := CheckName(name); err != nil {
			return "users/" + name, err
		}
		if _, err := password.Parse(d.Users[name].Password); err != nil {
			return "users/" + name, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Robots)) {
		if err := CheckName(name); err != nil {
			return "robots/" + name, err
		}
		if sum, err := hex.DecodeString(d.Robots[name].Secret); err != nil || len(sum) != sha256.Size {
			return "robots/" + name, errors.New("the secret is not a SHA-256 in hex")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Groups)) {
		if err := CheckName(name); err != nil {
			return "groups/" + name, err
		}
		if i := slices.IndexFunc(d.Groups[name], func(m string) bool { return !isMember(m) }); i >= 0 {
			return "groups/" + name, fmt.Errorf("member %d: %w", i+1, ErrName)
		}
	}
	return "", nil
}

// Edit changes the file of users at path, which need not exist, and holds off others that
// do. If change fails, or leaves what cannot be, the file stays as it is.
func Edit(path string, change func(*Directory) error) error {
	unlock, err := lock(path + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	d := new(Directory)
	raw, err := readFile(path)
	if err == nil {
		d, err = ParseDirectory(raw)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := change(d); err != nil {
		return err
	}
	if raw, err = json.MarshalIndent(d, "", "  "); err != nil {
		return err
	}
	if _, err := ParseDirectory(raw); err != nil {
		return err
	}
	return durable.Write(path, append(raw, '\n'))
}

func lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxDirectory+1))
	return raw, err
}

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
	raw := make([]byte, secretLen)
	rand.Read(raw)
	secret = secretPrefix + base64.RawURLEncoding.EncodeToString(raw)
	if d.Robots == nil {
		d.Robots = map[string]RobotEntry{}
	}
	d.Robots[name] = RobotEntry{Secret: hashSecret(secret), Created: time.Now().UTC().Truncate(time.Second), Expires: expires, Note: note}
	return secret, nil
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
