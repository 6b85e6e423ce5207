// Package password keeps passwords as hashes that are slow to try, and verifies those
// that other programs made. password.go is what others use; pbkdf2.go, bcrypt.go (over
// blowfish.go and pi.go) and shacrypt.go are the schemes; htpasswd.go reads the files
// of Apache's program; strength.go says which passwords people may choose.
package password

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
)

// What the errors of this package are. None of them carries a hash or a password.
var (
	// ErrHash is a text that is no hash of a scheme known here.
	ErrHash = errors.New("not a password hash of a known form")
	// ErrCost is a hash that would take unreasonably long, or nearly no time, to try.
	ErrCost = errors.New("password hash of an unreasonable cost")
	// ErrPassword is a text that cannot be a password.
	ErrPassword = errors.New("not a possible password")
)

// MaxLen is how long a password may be, in bytes. Some schemes take time in proportion
// to it.
const MaxLen = 512

// What a hash may cost; another one is ErrCost, and never computed. The dearest take a
// few seconds.
const (
	minPBKDF2, maxPBKDF2 = 1_000, 10_000_000
	minBcrypt, maxBcrypt = 4, 16 // the binary logarithm of the rounds
	minSHA, maxSHA       = 1_000, 1_000_000
)

// The schemes, by what their hashes begin with.
const (
	pbkdf2SHA256 = "pbkdf2-sha256"
	bcryptA      = "2a"
	bcryptB      = "2b"
	bcryptY      = "2y"
	sha256Crypt  = "5"
	sha512Crypt  = "6"
)

// Hash is the hash of a password, with all that it takes to try one. It is made by Make
// and Parse, so one that exists can be computed in a bounded time; the zero Hash matches
// nothing. Hashes can be compared with ==.
type Hash struct {
	scheme string
	cost   int
	salt   string // SHA-crypt uses it as text, the others as bytes
	sum    string // as it stands in the text
	text   string
}

// Parse reads a hash as it stands in a file. Its errors are ErrHash and ErrCost.
func Parse(text string) (Hash, error) {
	rest, ok := strings.CutPrefix(text, "$")
	scheme, rest, more := strings.Cut(rest, "$")
	if !ok || !more {
		return Hash{}, ErrHash
	}
	h := Hash{scheme: scheme, text: text}
	var err error
	switch scheme {
	case pbkdf2SHA256:
		err = h.parsePBKDF2(rest)
	case bcryptA, bcryptB, bcryptY:
		err = h.parseBcrypt(rest)
	case sha256Crypt, sha512Crypt:
		err = h.parseSHA(rest)
	default:
		err = ErrHash
	}
	if err != nil {
		return Hash{}, err
	}
	return h, nil
}

// Matches tells whether password is the one that was hashed. It takes the same time
// whatever the answer, but for a password that Check refuses.
func (h Hash) Matches(password string) bool {
	if Check(password) != nil {
		return false
	}
	var sum string
	switch h.scheme {
	case pbkdf2SHA256:
		sum = h.sumPBKDF2(password)
	case bcryptA, bcryptB, bcryptY:
		sum = h.sumBcrypt(password)
	case sha256Crypt, sha512Crypt:
		sum = h.sumSHA(password)
	default:
		return false
	}
	return subtle.ConstantTimeCompare([]byte(sum), []byte(h.sum)) == 1
}

// Check says why a text cannot be a password: it is empty, longer than MaxLen, or holds
// a zero byte, at which other programs would cut it off. Its errors are ErrPassword.
func Check(password string) error {
	switch {
	case password == "":
		return fmt.Errorf("%w: empty", ErrPassword)
	case len(password) > MaxLen:
		return fmt.Errorf("%w: longer than %d bytes", ErrPassword, MaxLen)
	case strings.IndexByte(password, 0) >= 0:
		return fmt.Errorf("%w: a zero byte in it", ErrPassword)
	}
	return nil
}

// String is the text that Parse reads.
func (h Hash) String() string { return h.text }

// IsZero tells whether h is no hash at all.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText is the text that Parse reads.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.text), nil }

// UnmarshalText is Parse.
func (h *Hash) UnmarshalText(text []byte) (err error) {
	*h, err = Parse(string(text))
	return err
}
