package password_test

import (
	"errors"
	"strings"
	"testing"

	"shibafu.dev/step7-security/auth/password"
)

const horse = "correct horse"

// vectors are hashes that other programs made.
func vectors() []struct{ name, password, text string } {
	return []struct{ name, password, text string }{
		{"passlib's form", horse, "$pbkdf2-sha256$1000$8PHy8/T19vf4.fr7/P3./w$JwgcbJZlHBoE0uPBMy9SZsCsIJXsYLx/8XwH97PVwMU"},
		{"htpasswd -B", horse, "$2y$05$cUs9RNI/217u.aGEeMcRwePJ33mz4S2uieVVgp1UbUTYkVPu9qctu"},
		{"htpasswd -B -C 10", horse, "$2y$10$DXiAelIduGyowprfwu8vyemyCVGP.tsa.k0.kuYx3DxtHZHnRRBXK"},
		{"htpasswd -B, 100 letters", strings.Repeat("x", 100), "$2y$04$zVNujniHslqA0iQPQ3b9DeWum/xME9/J56vyJoSSgnWBoY7tdUqjC"},
		{"htpasswd -B, UTF-8", "pässwörd", "$2y$04$194ZJmZ9yc3FY2sW23UfBuCXZJdIN7r/0wmicI/2.mpeRO3ohO5hK"},
		{"OpenBSD's bcrypt", "U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
		{"bcrypt $2b$", "U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
		{"bcrypt, one letter", "a", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe"},
		{"htpasswd -2", horse, "$5$9.yFiArjFQLdzPx/$MCV15RXNI0NSass4TDhioYBJnADXGd3pnGN9931Nlz0"},
		{"htpasswd -5 -r 1500", horse, "$6$rounds=1500$ijNyZX.xWazWQc.2$Ic31aIfTzuO.i2FOp7wcmuCvWJONLbYJAMoecJ5Yln10oBpRSGhcwFtXqOWRSvmFp9NK3W7ta6COLBvq2RxfN0"},
		{"openssl passwd -5", horse, "$5$owOs6TtRmaGImbFs$EREl5.i1S5qdJSRN3DQSGKsegow4kz5VvpHU0aJgK7B"},
		{"openssl passwd -6, UTF-8", "pässwörd", "$6$B8C/kVr9MiFvAVbj$aGOzks5iFNOw/ITKxnTRpfgKFxAYVYXej.MeBBfQMgteeF1s0ETJ5bWfn7/rdcZImJfGKaf.kBQz0Fl3fxsbU."},
		{"Drepper, saltstring SHA-256", "Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"},
		{"Drepper, saltstringsaltst SHA-256", "Hello world!", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"},
		{"Drepper, toolongsaltstrin SHA-256", "This is just a test", "$5$rounds=5000$toolongsaltstrin$Un/5jzAHMgOGZ5.mWJpuVolil07guHPvOW8mGRcvxa5"},
		{"Drepper, anotherlongsalts SHA-256", "a very much longer text to encrypt.  This one even stretches over morethan one line.", "$5$rounds=1400$anotherlongsalts$Rx.j8H.h8HjEDGomFU8bDkXm3XIUnzyxf12oP84Bnq1"},
		{"Drepper, short SHA-256", "we have a short salt string but not a short password", "$5$rounds=77777$short$JiO1O3ZpDAxGJeaDIuqCoEFysAe1mZNJRs3pw0KQRd/"},
		{"Drepper, asaltof16chars.. SHA-256", "a short string", "$5$rounds=123456$asaltof16chars..$gP3VQ/6X7UUEW3HkBn2w1/Ptq2jxPyzV/cZKmF/wJvD"},
		{"Drepper, saltstring SHA-512", "Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"},
		{"Drepper, saltstringsaltst SHA-512", "Hello world!", "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v."},
		{"Drepper, toolongsaltstrin SHA-512", "This is just a test", "$6$rounds=5000$toolongsaltstrin$lQ8jolhgVRVhY4b5pZKaysCLi0QBxGoNeKQzQ3glMhwllF7oGDZxUhx1yxdYcz/e1JSbq3y6JMxxl8audkUEm0"},
		{"Drepper, anotherlongsalts SHA-512", "a very much longer text to encrypt.  This one even stretches over morethan one line.", "$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1"},
		{"Drepper, short SHA-512", "we have a short salt string but not a short password", "$6$rounds=77777$short$WuQyW2YR.hBNpjjRhpYD/ifIw05xdfeEyQoMxIXbkvr0gge1a1x3yRULJ5CCaUeOxFmtlcGZelFl5CxtgfiAc0"},
		{"Drepper, asaltof16chars.. SHA-512", "a short string", "$6$rounds=123456$asaltof16chars..$BtCwjqMJGx5hrJhZywWvt0RLE8uZ4oPwcelCjmw2kSYu.Ec6ycULevoBK25fs2xXgMNrCzIMVcgEJAstJeonj1"},
	}
}

func TestVectors(t *testing.T) {
	for _, tt := range vectors() {
		t.Run(tt.name, func(t *testing.T) {
			h, err := password.Parse(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if h.String() != tt.text {
				t.Errorf("comes back as %q", h)
			}
			if !h.Matches(tt.password) {
				t.Error("does not match its password")
			}
			if h.Matches("!" + tt.password) {
				t.Error("matches another password")
			}
		})
	}
}

func TestMake(t *testing.T) {
	h, err := password.Make(horse, 1000)
	if err != nil {
		t.Fatal(err)
	}
	again, err := password.Parse(h.String())
	if err != nil || again != h || !again.Matches(horse) || again.Matches("battery") {
		t.Errorf("%v comes back as %v, %v", h, again, err)
	}
	if other, err := password.Make(horse, 1000); err != nil || other == h {
		t.Errorf("the same salt twice, or %v", err)
	}
	if h, err := password.Make(horse, 0); err != nil || !strings.HasPrefix(h.String(), "$pbkdf2-sha256$600000$") {
		t.Errorf("by default: %v, %v", h, err)
	}
}

func TestMakeRefuses(t *testing.T) {
	tests := []struct {
		name, password string
		rounds         int
		want           error
	}{
		{"empty", "", 1000, password.ErrPassword},
		{"long", strings.Repeat("x", password.MaxLen+1), 1000, password.ErrPassword},
		{"zero byte", "a\x00b", 1000, password.ErrPassword},
		{"cheap", horse, 999, password.ErrCost},
		{"dear", horse, 10_000_001, password.ErrCost},
		{"negative", horse, -1, password.ErrCost},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if h, err := password.Make(tt.password, tt.rounds); !errors.Is(err, tt.want) || !h.IsZero() {
				t.Errorf("Make = %v, %v; want %v", h, err, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	salt22, sum31, sum43, sum86 := strings.Repeat("C", 22), strings.Repeat("C", 31), strings.Repeat("A", 43), strings.Repeat("A", 86)
	tests := []struct {
		name, text string
		want       error
	}{
		{"empty", "", password.ErrHash},
		{"plain", horse, password.ErrHash},
		{"MD5 of Apache", "$apr1$abcdefgh$0123456789012345678901", password.ErrHash},
		{"MD5", "$1$abcdefgh$0123456789012345678901", password.ErrHash},
		{"SHA-1", "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", password.ErrHash},
		{"scheme alone", "$2y", password.ErrHash},
		{"bcrypt that never was", "$2z$05$" + salt22 + sum31, password.ErrHash},
		{"bcrypt of cost 17", "$2y$17$" + salt22 + sum31, password.ErrCost},
		{"bcrypt of cost 31", "$2y$31$" + salt22 + sum31, password.ErrCost},
		{"bcrypt of cost 3", "$2y$03$" + salt22 + sum31, password.ErrCost},
		{"bcrypt of cost x", "$2y$0x$" + salt22 + sum31, password.ErrHash},
		{"bcrypt cut", "$2y$05$" + salt22 + sum31[1:], password.ErrHash},
		{"bcrypt with a strange letter", "$2y$05$" + salt22 + sum31[1:] + "!", password.ErrHash},
		{"SHA-256 with many rounds", "$5$rounds=1000001$salt$" + sum43, password.ErrCost},
		{"SHA-512 with few rounds", "$6$rounds=999$salt$" + sum86, password.ErrCost},
		{"SHA-512 with endless rounds", "$6$rounds=99999999999999999999$salt$" + sum86, password.ErrCost},
		{"SHA-512 with a zero before", "$6$rounds=05000$salt$" + sum86, password.ErrHash},
		{"SHA-256 with the sum of SHA-512", "$5$salt$" + sum86, password.ErrHash},
		{"SHA-256 without salt and sum", "$5$", password.ErrHash},
		{"long salt", "$5$" + strings.Repeat("s", 17) + "$" + sum43, password.ErrHash},
		{"PBKDF2 with many rounds", "$pbkdf2-sha256$10000001$8PHy8/T19vf4.fr7/P3./w$" + sum43, password.ErrCost},
		{"PBKDF2 with few rounds", "$pbkdf2-sha256$1$8PHy8/T19vf4.fr7/P3./w$" + sum43, password.ErrCost},
		{"PBKDF2 with a sign", "$pbkdf2-sha256$+1000$8PHy8/T19vf4.fr7/P3./w$" + sum43, password.ErrHash},
		{"PBKDF2 without salt", "$pbkdf2-sha256$1000$$" + sum43, password.ErrHash},
		{"PBKDF2 with bits left over", "$pbkdf2-sha256$1000$8PHy8/T19vf4.fr7/P3./w$" + sum43[1:] + "9", password.ErrHash},
		{"PBKDF2 with a part more", "$pbkdf2-sha256$1000$8PHy8/T19vf4.fr7/P3./w$" + sum43 + "$", password.ErrHash},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if h, err := password.Parse(tt.text); !errors.Is(err, tt.want) || !h.IsZero() {
				t.Errorf("Parse = %v, %v; want %v", h, err, tt.want)
			}
		})
	}
}

func TestZeroMatchesNothing(t *testing.T) {
	if (password.Hash{}).Matches("x") || (password.Hash{}).Matches("") {
		t.Error("it does")
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range vectors() {
		f.Add(v.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := password.Parse(text)
		if err != nil {
			if !errors.Is(err, password.ErrHash) && !errors.Is(err, password.ErrCost) || !h.IsZero() {
				t.Fatalf("Parse = %v, %v", h, err)
			}
			return
		}
		if h.String() != text {
			t.Fatalf("%q comes back as %q", text, h)
		}
	})
}

func BenchmarkMatches(b *testing.B) {
	def, err := password.Make(horse, 0)
	if err != nil {
		b.Fatal(err)
	}
	for _, v := range []struct{ name, text string }{
		{"pbkdf2-600000", def.String()}, {"bcrypt-05", vectors()[1].text}, {"bcrypt-10", vectors()[2].text}, {"sha512-5000", vectors()[11].text},
	} {
		h, err := password.Parse(v.text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(v.name, func(b *testing.B) {
			for b.Loop() {
				h.Matches(horse)
			}
		})
	}
}
