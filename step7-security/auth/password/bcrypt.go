package password

import (
	"encoding/base64"
	"encoding/binary"
)

const (
	// bcryptKey is how many bytes of a password bcrypt looks at, its final zero included.
	bcryptKey  = 72
	bcryptSalt = 16
	// bcryptSum is what is written of the 24 bytes that come out.
	bcryptSum = 23
)

// bcryptBase64 is base64 in another order.
var bcryptBase64 = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").
	WithPadding(base64.NoPadding)

// parseBcrypt reads "COST$" with two digits, then salt and sum: 22 and 31 letters. The
// last letter of the salt may have bits that are not used, as some programs write them.
func (h *Hash) parseBcrypt(rest string) (err error) {
	saltLen, sumLen := bcryptBase64.EncodedLen(bcryptSalt), bcryptBase64.EncodedLen(bcryptSum)
	if len(rest) != 3+saltLen+sumLen || rest[2] != '$' {
		return ErrHash
	}
	digits := rest[:2]
	if digits[0] == '0' {
		digits = digits[1:]
	}
	if h.cost, err = cost(digits, minBcrypt, maxBcrypt); err != nil {
		return err
	}
	salt, err := bcryptBase64.DecodeString(rest[3 : 3+saltLen])
	if err != nil {
		return ErrHash
	}
	h.salt, h.sum = string(salt), rest[3+saltLen:]
	if _, err := bcryptBase64.DecodeString(h.sum); err != nil {
		return ErrHash
	}
	return nil
}

// sumBcrypt is the same for $2a$, $2b$ and $2y$, which name repaired versions of other
// programs.
//
// Source: Provos and Mazières, section 4.2; OpenBSD, crypt_blowfish.
func (h Hash) sumBcrypt(password string) string {
	key := append([]byte(password), 0)
	key = key[:min(len(key), bcryptKey)]
	salt := []byte(h.salt)
	c := newBlowfish()
	c.expand(key, salt)
	for range uint64(1) << h.cost {
		c.expandKey(key)
		c.expandKey(salt)
	}
	sum := []byte("OrpheanBeholderScryDoubt")
	for i := 0; i < len(sum); i += 8 {
		l, r := binary.BigEndian.Uint32(sum[i:]), binary.BigEndian.Uint32(sum[i+4:])
		for range 64 {
			l, r = c.encrypt(l, r)
		}
		binary.BigEndian.PutUint32(sum[i:], l)
		binary.BigEndian.PutUint32(sum[i+4:], r)
	}
	return bcryptBase64.EncodeToString(sum[:bcryptSum])
}
