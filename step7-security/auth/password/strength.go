package password

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrWeak is a password that would be guessed.
var ErrWeak = errors.New("the password is too weak")

const (
	// MinChosen is how many characters a password has that somebody chooses. What mixture
	// they are of is nobody's business.
	MinChosen = 15
	// minDifferent keeps out rows of one key, and two in turn.
	minDifferent = 5
	// minRest is how many are left without the names that everybody tries first, and
	// minName the shortest of those that is looked for.
	minRest, minName = 8, 3
)

// CheckChosen says whether user may choose a password: it is long enough, little of
// it is their name or the registry's, and it is not the same few characters again and again.
// Its errors are ErrPassword and ErrWeak. Hashes that were made elsewhere are not held to
// it.
//
// Source: NIST SP 800-63B-4, section 3.1.1.2: at least 15 characters where the password is
// all that is asked for, no rules of composition, and a list of what is refused.
func CheckChosen(password, user string) error {
	if err := Check(password); err != nil {
		return err
	}
	if n := utf8.RuneCountInString(password); n < MinChosen {
		return fmt.Errorf("%w: %d characters, want %d or more; a few words will do", ErrWeak, n, MinChosen)
	}
	rest, different := strings.ToLower(password), map[rune]bool{}
	for _, r := range rest {
		different[r] = true
	}
	if len(different) < minDifferent {
		return fmt.Errorf("%w: it is the same few characters again and again", ErrWeak)
	}
	for _, name := range []string{user, "shibafu", "registry", "password"} {
		if len(name) >= minName {
			rest = strings.ReplaceAll(rest, strings.ToLower(name), "")
		}
	}
	if utf8.RuneCountInString(rest) < minRest {
		return fmt.Errorf("%w: without the names in it, little is left", ErrWeak)
	}
	return nil
}
