package account

import (
	"fmt"
	"strconv"
	"strings"
)

// id is a user or a group as it was asked for: by a name, or by a number.
type id struct {
	name   string // "" if it is a number
	number uint32
}

func (i id) isName() bool { return i.name != "" }

// String is the text that i was made of.
func (i id) String() string {
	if i.isName() {
		return i.name
	}
	return strconv.FormatUint(uint64(i.number), 10)
}

type spec struct {
	user, group id
	hasGroup    bool
}

// parse reads what a user of an image can be called. A colon with nothing on one of
// its sides is refused: mostly a variable was empty, and root is no fit answer.
func parse(text string) (spec, error) {
	if text == "" {
		return spec{}, nil
	}
	user, group, hasGroup := strings.Cut(text, ":")
	s := spec{hasGroup: hasGroup}
	var err error
	if s.user, err = parseID(user); err != nil {
		return spec{}, err
	}
	if !hasGroup {
		return s, nil
	}
	if s.group, err = parseID(group); err != nil {
		return spec{}, err
	}
	return s, nil
}

func parseID(s string) (id, error) {
	if s != "" && isDigit(s[0]) {
		n, ok := parseNumber(s)
		if !ok {
			return id{}, fmt.Errorf("%w: %q is no number from 0 to %d", ErrSpec, shorten(s), maxID)
		}
		return id{number: n}, nil
	}
	if !isName(s) {
		return id{}, fmt.Errorf("%w: %q is neither a name nor a number", ErrSpec, shorten(s))
	}
	return id{name: s}, nil
}

// maxID is the highest number of a user or a group; the one above it says "no
// change" to the kernel.
const maxID = 1<<32 - 2

// parseNumber reads a decimal number without sign and without zeros before it, up
// to maxID.
func parseNumber[T string | []byte](s T) (n uint32, ok bool) {
	const digits = len("4294967294")
	if len(s) == 0 || len(s) > digits || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	var sum uint64
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		sum = sum*10 + uint64(s[i]-'0')
	}
	if sum > maxID {
		return 0, false
	}
	return uint32(sum), true
}

// maxName is what Linux takes for the name of a user (LOGIN_NAME_MAX).
const maxName = 255

// isName tells whether s is the name of a user or a group: letters, digits, "_", "-"
// and "."; the first is a letter or "_"; "$" may be the last, as Samba has it.
//
// Source: useradd(8), with the capitals and dots that distributions allow.
func isName[T string | []byte](s T) bool {
	if len(s) == 0 || len(s) > maxName || !isLetter(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		c := s[i]
		if !isLetter(c) && !isDigit(c) && c != '-' && c != '.' && (c != '$' || i != len(s)-1) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

// shorten keeps an error readable.
func shorten(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
