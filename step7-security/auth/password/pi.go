package password

import (
	"math/big"
	"sync"
)

// words is how many words of 32 bits Blowfish starts from.
const words = rounds + 2 + 4*256

// pi returns the first words of the fraction of pi, which is what Blowfish starts from:
// digits that nobody chose. They are computed when the first bcrypt hash is tried, in
// some milliseconds, rather than kept as four pages of numbers.
//
// Source: the Chudnovsky brothers' series.
var pi = sync.OnceValue(func() (digits [words]uint32) {
	const bits, guard = 32 * words, 64
	one := new(big.Int).Lsh(big.NewInt(1), bits+guard)
	sum := chudnovsky(one)
	root := new(big.Int).Mul(one, one)
	root.Sqrt(root.Mul(root, big.NewInt(10005)))
	value := root.Mul(root, big.NewInt(426880))
	value.Quo(value.Mul(value, one), sum)
	value.Rsh(value, guard)
	value.Sub(value, new(big.Int).Lsh(big.NewInt(3), bits))
	raw := value.FillBytes(make([]byte, bits/8))
	for i := range digits {
		digits[i] = uint32(raw[4*i])<<24 | uint32(raw[4*i+1])<<16 | uint32(raw[4*i+2])<<8 | uint32(raw[4*i+3])
	}
	return digits
})

// chudnovsky adds up the series until its terms vanish beside one:
// (6k)! (13591409 + 545140134 k) / ((3k)! (k!)^3 (-640320)^3k).
func chudnovsky(one *big.Int) *big.Int {
	const perTerm = 640320 / 24 * 640320 * 640320
	term := new(big.Int).Set(one)
	plain, timesK := new(big.Int).Set(one), new(big.Int)
	scratch := new(big.Int)
	for k := int64(1); term.Sign() != 0; k++ {
		term.Mul(term, scratch.SetInt64(-(6*k-5)*(2*k-1)*(6*k-1)))
		term.Quo(term, scratch.SetInt64(k*k*k))
		term.Quo(term, scratch.SetInt64(perTerm))
		plain.Add(plain, term)
		timesK.Add(timesK, scratch.Mul(term, big.NewInt(k)))
	}
	plain.Mul(plain, big.NewInt(13591409))
	return plain.Add(plain, timesK.Mul(timesK, big.NewInt(545140134)))
}
