package password

// rounds is how many rounds a block of Blowfish goes through.
const rounds = 16

// blowfish is the cipher's state under a key.
//
// Source: Bruce Schneier, "Description of a New Variable-Length Key, 64-Bit Block Cipher
// (Blowfish)", 1993.
type blowfish struct {
	p [rounds + 2]uint32
	s [4][256]uint32
}

// newBlowfish is the state before any key.
func newBlowfish() *blowfish {
	c, digits := new(blowfish), pi()
	n := copy(c.p[:], digits[:])
	for i := range c.s {
		n += copy(c.s[i][:], digits[n:])
	}
	return c
}

// encrypt encrypts a block of two words.
func (c *blowfish) encrypt(l, r uint32) (uint32, uint32) {
	l ^= c.p[0]
	for i := 1; i < rounds+1; i += 2 {
		r ^= c.mix(l) ^ c.p[i]
		l ^= c.mix(r) ^ c.p[i+1]
	}
	return r ^ c.p[rounds+1], l
}

func (c *blowfish) mix(x uint32) uint32 {
	return ((c.s[0][x>>24] + c.s[1][x>>16&0xff]) ^ c.s[2][x>>8&0xff]) + c.s[3][x&0xff]
}

// expand mixes key and salt, of which neither is empty, into the state.
//
// Source: Niels Provos and David Mazières, "A Future-Adaptable Password Scheme", 1999,
// section 4.1.
func (c *blowfish) expand(key, salt []byte) {
	k := cycle{bytes: key}
	for i := range c.p {
		c.p[i] ^= k.word()
	}
	var l, r uint32
	s := cycle{bytes: salt}
	next := func() {
		l ^= s.word()
		r ^= s.word()
		l, r = c.encrypt(l, r)
	}
	for i := 0; i < len(c.p); i += 2 {
		next()
		c.p[i], c.p[i+1] = l, r
	}
	for box := range c.s {
		for i := 0; i < 256; i += 2 {
			next()
			c.s[box][i], c.s[box][i+1] = l, r
		}
	}
}

// expandKey is expand with a salt of zeros, which is most of the work.
func (c *blowfish) expandKey(key []byte) {
	k := cycle{bytes: key}
	for i := range c.p {
		c.p[i] ^= k.word()
	}
	var l, r uint32
	for i := 0; i < len(c.p); i += 2 {
		l, r = c.encrypt(l, r)
		c.p[i], c.p[i+1] = l, r
	}
	for box := range c.s {
		for i := 0; i < 256; i += 2 {
			l, r = c.encrypt(l, r)
			c.s[box][i], c.s[box][i+1] = l, r
		}
	}
}

// cycle reads bytes as words, over and over.
type cycle struct {
	bytes []byte
	at    int
}

func (c *cycle) word() (w uint32) {
	for range 4 {
		w = w<<8 | uint32(c.bytes[c.at])
		if c.at++; c.at == len(c.bytes) {
			c.at = 0
		}
	}
	return w
}
