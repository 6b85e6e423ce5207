package password

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
)

// DefaultRounds is what OWASP's Password Storage Cheat Sheet asks of PBKDF2 with
// SHA-256: about a tenth of a second.
const DefaultRounds = 600_000

// saltLen is the length of the salts that are made here, in bytes.
const saltLen = 16

// passlib is base64 with "." in the place of "+", as passlib writes it.
var passlib = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./").
	WithPadding(base64.NoPadding).Strict()

// Make hashes a password by PBKDF2 with SHA-256; rounds 0 stands for DefaultRounds. The
// text is "$pbkdf2-sha256$ROUNDS$SALT$SUM", as passlib writes it, so that others can
// read it. Its errors are ErrPassword and ErrCost.
//
// Source: RFC 8018, section 5.2; passlib, "pbkdf2_sha256".
func Make(password string, rounds int) (Hash, error) {
	if err := Check(password); err != nil {
		return Hash{}, err
	}
	if rounds == 0 {
		rounds = DefaultRounds
	}
	if rounds < minPBKDF2 || rounds > maxPBKDF2 {
		return Hash{}, ErrCost
	}
	salt := make([]byte, saltLen)
	rand.Read(salt)
	h := Hash{scheme: pbkdf2SHA256, cost: rounds, salt: string(salt)}
	h.sum = h.sumPBKDF2(password)
	h.text = "$" + pbkdf2SHA256 + "$" + strconv.Itoa(rounds) + "$" + passlib.EncodeToString(salt) + "$" + h.sum
	return h, nil
}

func (h *Hash) parsePBKDF2(rest string) error {
	fields := strings.Split(rest, "$")
	if len(fields) != 3 {
		return ErrHash
	}
	salt, err := passlib.DecodeString(fields[1])
	if err != nil || len(salt) < 8 || len(salt) > 64 {
		return ErrHash
	}
	if sum, err := passlib.DecodeString(fields[2]); err != nil || len(sum) != sha256.Size {
		return ErrHash
	}
	h.salt, h.sum = string(salt), fields[2]
	h.cost, err = cost(fields[0], minPBKDF2, maxPBKDF2)
	return err
}

func (h Hash) sumPBKDF2(password string) string {
	sum, err := pbkdf2.Key(sha256.New, password, []byte(h.salt), h.cost, sha256.Size)
	if err != nil { // only where FIPS 140 is enforced, and then nothing matches
		return ""
	}
	return passlib.EncodeToString(sum)
}

// cost reads a cost in its one spelling. Its errors are ErrHash and ErrCost.
func cost(text string, least, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if len(text) > 9 {
		return 0, ErrCost
	}
	if err != nil || strconv.Itoa(n) != text {
		return 0, ErrHash
	}
	if n < least || n > most {
		return 0, ErrCost
	}
	return n, nil
}
