package password

import (
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"strings"
)

const (
	shaDefault = 5_000 // rounds, where the hash does not say
	shaSalt    = 16    // the longest salt
	shaLetters = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// parseSHA reads "[rounds=N$]SALT$SUM".
func (h *Hash) parseSHA(rest string) (err error) {
	h.cost = shaDefault
	if after, named := strings.CutPrefix(rest, "rounds="); named {
		digits, salted, _ := strings.Cut(after, "$")
		if h.cost, err = cost(digits, minSHA, maxSHA); err != nil {
			return err
		}
		rest = salted
	}
	var more bool
	h.salt, h.sum, more = strings.Cut(rest, "$")
	length := 43
	if h.scheme == sha512Crypt {
		length = 86
	}
	strange := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }
	if !more || len(h.salt) > shaSalt || strings.ContainsFunc(h.salt, strange) ||
		len(h.sum) != length || strings.Trim(h.sum, shaLetters) != "" {
		return ErrHash
	}
	return nil
}

func (h Hash) sumSHA(password string) string {
	if h.scheme == sha256Crypt {
		return encodeSHA256(shaCrypt(sha256.New, password, h.salt, h.cost))
	}
	return encodeSHA512(shaCrypt(sha512.New, password, h.salt, h.cost))
}

// shaCrypt follows the numbered steps of the source.
//
// Source: Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512", version 0.6.
func shaCrypt(newHash func() hash.Hash, password, salt string, rounds int) []byte {
	key := []byte(password)
	h := newHash()
	write := func(parts ...[]byte) {
		for _, p := range parts {
			h.Write(p)
		}
	}
	write(key, []byte(salt), key) // 4 to 8
	b := h.Sum(nil)

	h.Reset()
	write(key, []byte(salt), stretch(b, len(key))) // 1 to 3, 9 and 10
	for n := len(key); n > 0; n >>= 1 {            // 11
		if n&1 != 0 {
			write(b)
		} else {
			write(key)
		}
	}
	a := h.Sum(nil) // 12

	h.Reset()
	for range key { // 13 to 16
		write(key)
	}
	p := stretch(h.Sum(nil), len(key))

	h.Reset()
	for range 16 + int(a[0]) { // 17 to 20
		write([]byte(salt))
	}
	s := stretch(h.Sum(nil), len(salt))

	for i := range rounds { // 21
		h.Reset()
		first, last := a, p
		if i%2 != 0 {
			first, last = p, a
		}
		write(first)
		if i%3 != 0 {
			write(s)
		}
		if i%7 != 0 {
			write(p)
		}
		write(last)
		a = h.Sum(a[:0])
	}
	return a
}

// stretch repeats sum up to n bytes.
func stretch(sum []byte, n int) []byte {
	long := make([]byte, 0, n+len(sum))
	for len(long) < n {
		long = append(long, sum...)
	}
	return long[:n]
}

// encodeSHA256 writes three bytes as four letters (step 22), in an order that shuffles
// the thirds of the sum.
func encodeSHA256(sum []byte) string {
	var b strings.Builder
	for i, j, k := 0, 10, 20; i < 30; i, j, k = k+1, i+1, j+1 {
		letters(&b, sum[i], sum[j], sum[k], 4)
	}
	letters(&b, 0, sum[31], sum[30], 3)
	return b.String()
}

func encodeSHA512(sum []byte) string {
	var b strings.Builder
	i, j, k := 0, 21, 42
	for range 21 {
		letters(&b, sum[i], sum[j], sum[k], 4)
		i, j, k = j+1, k+1, i+1
	}
	letters(&b, 0, 0, sum[63], 2)
	return b.String()
}

// letters writes n letters of six bits each, the lowest bits first.
func letters(b *strings.Builder, high, middle, low byte, n int) {
	w := uint32(high)<<16 | uint32(middle)<<8 | uint32(low)
	for range n {
		b.WriteByte(shaLetters[w&0x3f])
		w >>= 6
	}
}
