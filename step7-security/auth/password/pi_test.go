package password

import "testing"

// The first and the last digits are those of Schneier's tables.
func TestDigitsOfPi(t *testing.T) {
	digits := pi()
	for i, want := range map[int]uint32{0: 0x243f6a88, 1: 0x85a308d3, 17: 0x8979fb1b, 18: 0xd1310ba6, 18 + 1023: 0x3ac372e6} {
		if digits[i] != want {
			t.Errorf("word %d is %08x, want %08x", i, digits[i], want)
		}
	}
}
