package password

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrHtpasswd is a file of passwords that cannot be used as it is.
var ErrHtpasswd = errors.New("bad htpasswd file")

const (
	// maxHtpasswd and maxLine bound a file and its lines, in bytes.
	maxHtpasswd = 16 << 20
	maxLine     = 1 << 10
	// maxName is the longest name of a user, in bytes.
	maxName = 255
	// maxFaults is how many faults of a file are told.
	maxFaults = 10
)

// ParseHtpasswd reads a file of lines "NAME:HASH" and returns the hashes by name. Empty
// lines and those that begin with "#" are passed over. If there is a line that cannot be
// used, all of them are named by their numbers in an ErrHtpasswd, never with the hash:
// some of the users let in, and others not, would be a riddle.
//
// Source: Apache HTTP Server, "Password Formats".
func ParseHtpasswd(raw []byte) (map[string]Hash, error) {
	if len(raw) > maxHtpasswd {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrHtpasswd, maxHtpasswd)
	}
	all, number := map[string]Hash{}, 0
	var faults []error
	for line := range bytes.Lines(raw) {
		number++
		name, h, err := parseLine(line)
		if err == nil && name != "" {
			if _, twice := all[name]; twice {
				err = fmt.Errorf("the user %q is there twice", name)
			}
			all[name] = h
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%w: line %d: %w", ErrHtpasswd, number, err))
		}
		if len(faults) == maxFaults {
			break
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return all, nil
}

// parseLine reads a line; the name is "" if nothing is on it.
func parseLine(line []byte) (name string, h Hash, err error) {
	if len(line) > maxLine {
		return "", Hash{}, fmt.Errorf("longer than %d bytes", maxLine)
	}
	text := strings.TrimSpace(string(line))
	if text == "" || text[0] == '#' {
		return "", Hash{}, nil
	}
	name, hash, found := strings.Cut(text, ":")
	if !found || name == "" || len(name) > maxName {
		return "", Hash{}, errors.New(`want "NAME:HASH"`)
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", Hash{}, errors.New("strange letters in the name")
	}
	if h, err = Parse(hash); err != nil {
		return "", Hash{}, fmt.Errorf("%w%s", err, known(hash))
	}
	return name, h, nil
}

// known says which form a hash has that is not accepted.
func known(hash string) string {
	switch {
	case strings.HasPrefix(hash, "$apr1$"):
		return ": MD5, which is too fast; make it anew with htpasswd -B"
	case strings.HasPrefix(hash, "{SHA}"):
		return ": SHA-1 without a salt; make it anew with htpasswd -B"
	case !strings.HasPrefix(hash, "$"):
		return ": plain or DES; make it anew with htpasswd -B"
	}
	return ""
}
