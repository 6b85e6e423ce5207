package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
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

// ReadDirectory reads the file of users at path, which need not exist. Its errors are
// ErrDirectory and those of the disk.
func ReadDirectory(path string) (*Directory, error) {
	raw, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return new(Directory), nil
	}
	if err != nil {
		return nil, err
	}
	return ParseDirectory(raw)
}

// Edit changes the file of users at path, which need not exist, and holds off others that
// do. If change fails, or leaves what cannot be, the file stays as it is.
func Edit(path string, change func(*Directory) error) error {
	unlock, err := durable.Lock(path + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	d, err := ReadDirectory(path)
	if err != nil {
		return err
	}
	if err := change(d); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	if _, err := ParseDirectory(raw); err != nil {
		return err
	}
	return durable.Write(path, append(raw, '\n'))
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
