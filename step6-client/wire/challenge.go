package wire

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Challenge is one way in which a server wants to know who asks.
type Challenge struct {
	// Scheme is in lower case: "bearer".
	Scheme string
	// Params are by their names in lower case. A challenge that has one opaque word
	// in their place, as Negotiate does, has none here.
	Params map[string]string
}

// What a header may hold.
const (
	maxChallengeBytes = 8 << 10
	maxChallenges     = 16
	maxParams         = 16
)

// ParseChallenges reads the values of WWW-Authenticate headers. Where one of them
// is not of the grammar, or names a parameter twice, nothing of them is believed
// (ErrChallenge).
//
// Source: RFC 9110, section 11.6.1; RFC 6750, section 3.
func ParseChallenges(values []string) ([]Challenge, error) {
	var all []Challenge
	for _, v := range values {
		if len(v) > maxChallengeBytes {
			return nil, fmt.Errorf("%w: too long", ErrChallenge)
		}
		list, err := parseChallenges(&scanner{v})
		if err != nil {
			return nil, err
		}
		if all = append(all, list...); len(all) > maxChallenges {
			return nil, fmt.Errorf("%w: too many", ErrChallenge)
		}
	}
	return all, nil
}

// parseChallenges reads a list, in which a comma parts both challenges and their
// parameters: a word with a "=" behind it goes on with the last challenge.
func parseChallenges(s *scanner) ([]Challenge, error) {
	var all []Challenge
	opaque := false
	for s.commas(); s.rest != ""; s.commas() {
		word := s.token()
		if word == "" {
			return nil, fmt.Errorf("%w: want a word", ErrChallenge)
		}
		if s.equals() {
			if len(all) == 0 || opaque {
				return nil, fmt.Errorf("%w: a parameter without a scheme", ErrChallenge)
			}
			if err := s.param(&all[len(all)-1], word); err != nil {
				return nil, err
			}
		} else {
			all = append(all, Challenge{Scheme: strings.ToLower(word)})
			var err error
			if opaque, err = s.afterScheme(&all[len(all)-1]); err != nil {
				return nil, err
			}
		}
		if s.space(); s.rest != "" && s.rest[0] != ',' {
			return nil, fmt.Errorf("%w: want a comma", ErrChallenge)
		}
	}
	return all, nil
}

// String is the form that ParseChallenges reads.
func (c Challenge) String() string {
	var b strings.Builder
	b.WriteString(c.Scheme)
	for i, name := range slices.Sorted(maps.Keys(c.Params)) {
		b.WriteString(map[bool]string{true: " ", false: ", "}[i == 0])
		b.WriteString(name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(c.Params[name]) + `"`)
	}
	return b.String()
}

// scanner eats a header from its left end.
type scanner struct{ rest string }

func (s *scanner) space() { s.rest = strings.TrimLeft(s.rest, " \t") }

// commas skips the ends of elements, empty ones too.
func (s *scanner) commas() { s.rest = strings.TrimLeft(s.rest, " \t,") }

func (s *scanner) token() string {
	n := 0
	for n < len(s.rest) && isTokenChar(s.rest[n]) {
		n++
	}
	word := s.rest[:n]
	s.rest = s.rest[n:]
	return word
}

// equals skips the "=" of a parameter.
func (s *scanner) equals() bool {
	after, found := strings.CutPrefix(strings.TrimLeft(s.rest, " \t"), "=")
	if found {
		s.rest = strings.TrimLeft(after, " \t")
	}
	return found
}

// afterScheme reads what follows a scheme up to the next comma: nothing, an opaque
// word, or a first parameter.
func (s *scanner) afterScheme(c *Challenge) (opaque bool, err error) {
	if s.rest != "" && strings.IndexByte(" \t,", s.rest[0]) < 0 {
		return false, fmt.Errorf("%w: a scheme with a strange letter in it", ErrChallenge)
	}
	if s.space(); s.rest == "" || s.rest[0] == ',' {
		return false, nil
	}
	if s.opaque() {
		return true, nil
	}
	word := s.token()
	if word == "" || !s.equals() {
		return false, fmt.Errorf("%w: want a parameter", ErrChallenge)
	}
	return false, s.param(c, word)
}

// opaque skips a token68 that is all there is of the element.
func (s *scanner) opaque() bool {
	n := 0
	for n < len(s.rest) && (isAlnum(s.rest[n]) || strings.IndexByte("-._~+/", s.rest[n]) >= 0) {
		n++
	}
	rest := strings.TrimLeft(strings.TrimLeft(s.rest[n:], "="), " \t")
	if n == 0 || rest != "" && rest[0] != ',' {
		return false
	}
	s.rest = rest
	return true
}

// param reads the value of a parameter, which may be empty only in quotes.
func (s *scanner) param(c *Challenge, name string) error {
	name = strings.ToLower(name)
	var value string
	if strings.HasPrefix(s.rest, `"`) {
		var ok bool
		if value, ok = s.quoted(); !ok {
			return fmt.Errorf("%w: bad quotes", ErrChallenge)
		}
	} else if value = s.token(); value == "" {
		return fmt.Errorf("%w: parameter without a value", ErrChallenge)
	}
	if _, twice := c.Params[name]; twice || len(c.Params) >= maxParams {
		return fmt.Errorf("%w: a parameter twice, or too many", ErrChallenge)
	}
	if c.Params == nil {
		c.Params = map[string]string{}
	}
	c.Params[name] = value
	return nil
}

// quoted reads a quoted string of visible ASCII.
func (s *scanner) quoted() (string, bool) {
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		c := s.rest[i]
		switch {
		case c == '"':
			s.rest = s.rest[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(s.rest):
			i++
			c = s.rest[i]
		}
		if c < ' ' || c >= 0x7f {
			return "", false
		}
		b.WriteByte(c)
	}
	return "", false
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isTokenChar(c byte) bool { return isAlnum(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 }
