package digest_test

import (
	"encoding"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"shibafu.dev/step1-spec-notes/digest"
)

const (
	emptySHA256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	emptySHA512 = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce" +
		"47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)

func TestParse(t *testing.T) {
	hex64 := strings.Repeat("a", 64)
	tests := []struct {
		name, text string
		want       error
		reason     string
	}{
		{"sha256", emptySHA256, nil, "registered"},
		{"sha512", emptySHA512, nil, "registered"},
		{"empty", "", digest.ErrInvalid, "no colon"},
		{"no colon", "sha256" + hex64, digest.ErrInvalid, "the algorithm must be told"},
		{"no hex", "sha256:", digest.ErrInvalid, "encoded is one character or more"},
		{"short", "sha256:" + hex64[1:], digest.ErrInvalid, "a prefix names many contents"},
		{"long", "sha256:" + hex64 + "a", digest.ErrInvalid, "65 digits"},
		{"upper case hex", "sha256:" + strings.ToUpper(hex64), digest.ErrInvalid, "[A-F] MUST NOT be used"},
		{"upper case algorithm", "SHA256:" + hex64, digest.ErrInvalid, "the grammar has lower case only"},
		{"not hex", "sha256:" + strings.Repeat("g", 64), digest.ErrInvalid, "64 bytes but not hex"},
		{"sha512 of sha256's length", "sha512:" + hex64, digest.ErrInvalid, "the length belongs to the algorithm"},
		{"path", "sha256:../../../../../../../../../../../../../../../../../../etc/passwd", digest.ErrInvalid, "64 bytes that climb out of a folder"},
		{"encoded slash", "sha256:..%2f..%2fetc", digest.ErrInvalid, "% is in no digest"},
		{"NUL", "sha256:\x00" + hex64[1:], digest.ErrInvalid, "ends a path in C"},
		{"trailing newline", "sha256:" + hex64 + "\n", digest.ErrInvalid, "a line read with its end"},
		{"second colon", "sha256:" + hex64[:32] + ":" + hex64[:31], digest.ErrInvalid, "a colon is not encoded's"},
		{"md5", "md5:d41d8cd98f00b204e9800998ecf8427e", digest.ErrUnsupported, "well formed, broken as a hash"},
		{"blake3", "blake3:" + hex64, digest.ErrUnsupported, "registered, not in the standard library"},
		{"sha384", "sha384:" + hex64, digest.ErrUnsupported, "well formed; sha384 is not registered"},
		{"separators", "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8", digest.ErrUnsupported, "an example of the specification"},
		{"base64 alphabet", "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564", digest.ErrUnsupported, "an example of the specification"},
		{"leading separator", "+sha256:" + hex64, digest.ErrInvalid, "components are not empty"},
		{"trailing separator", "sha256+:" + hex64, digest.ErrInvalid, "components are not empty"},
		{"two separators", "sha+.256:" + hex64, digest.ErrInvalid, "one separator between components"},
		{"no algorithm", ":" + hex64, digest.ErrInvalid, "components are not empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := digest.Parse(tt.text)
			if tt.want == nil {
				if err != nil || d.String() != tt.text {
					t.Fatalf("Parse = %q, %v; want the text back (%s)", d, err, tt.reason)
				}
				return
			}
			if !errors.Is(err, tt.want) || !errors.Is(err, digest.ErrInvalid) || !d.IsZero() {
				t.Errorf("Parse = %q, %v; want %v (%s)", d, err, tt.want, tt.reason)
			}
			if unsupported := errors.Is(err, digest.ErrUnsupported); unsupported != (tt.want == digest.ErrUnsupported) {
				t.Errorf("ErrUnsupported is %v (%s)", unsupported, tt.reason)
			}
		})
	}
}

func TestFromBytes(t *testing.T) {
	if got := digest.FromBytes(nil).String(); got != emptySHA256 {
		t.Errorf("sha256 of nothing = %s", got)
	}
	d := digest.SHA512.FromBytes(nil)
	if d.String() != emptySHA512 || d.Algorithm() != digest.SHA512 || len(d.Hex()) != digest.SHA512.HexLen() {
		t.Errorf("sha512 of nothing = %s", d)
	}
	if d != digest.MustParse(emptySHA512) {
		t.Error("the same digest made in two ways is not ==")
	}
}

// A hash put aside and taken up again comes to the same digest: uploads that
// resume rest on it.
func TestHashResumes(t *testing.T) {
	for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		first := a.New()
		io.WriteString(first, "half ")
		state, err := first.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		second := a.New()
		if err := second.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
			t.Fatal(err)
		}
		io.WriteString(second, "and half")
		if got, want := a.FromHash(second), a.FromBytes([]byte("half and half")); got != want {
			t.Errorf("%s resumed to %s, want %s", a, got, want)
		}
	}
}

func TestJSON(t *testing.T) {
	type doc struct {
		Digest digest.Digest `json:"digest,omitzero"`
	}
	tests := []struct {
		name, text string
		want       error
	}{
		{"valid", `{"digest":"` + emptySHA256 + `"}`, nil},
		{"missing", `{}`, nil},
		{"empty text is not the zero value", `{"digest":""}`, digest.ErrInvalid},
		{"unsupported stays recognisable", `{"digest":"md5:00"}`, digest.ErrUnsupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var d doc
			if err := json.Unmarshal([]byte(tt.text), &d); !errors.Is(err, tt.want) {
				t.Fatalf("Unmarshal: %v, want %v", err, tt.want)
			}
			if tt.want != nil {
				return
			}
			if back, err := json.Marshal(d); string(back) != tt.text || err != nil {
				t.Errorf("Marshal = %s, %v; want %s", back, err, tt.text)
			}
		})
	}
}

func TestNewReader(t *testing.T) {
	want := digest.FromBytes([]byte("content"))
	tests := []struct {
		name, content string
		err           error
	}{
		{"right", "content", nil},
		{"one bit off", "bontent", digest.ErrMismatch},
		{"cut", "conten", digest.ErrMismatch},
		{"extended", "content!", digest.ErrMismatch},
		{"empty", "", digest.ErrMismatch},
	}
	for _, tt := range tests {
		for how, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "by byte": iotest.OneByteReader, "EOF with data": iotest.DataErrReader,
		} {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				got, err := io.ReadAll(digest.NewReader(wrap(strings.NewReader(tt.content)), want))
				if !errors.Is(err, tt.err) || string(got) != tt.content {
					t.Errorf("ReadAll = %q, %v; want %v", got, err, tt.err)
				}
			})
		}
	}
}

// A cut connection must not look like a whole content, nor like a wrong one.
func TestNewReaderKeepsErrors(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("cont"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, err := io.ReadAll(digest.NewReader(broken, digest.FromBytes([]byte("content")))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("err = %v, want the reader's own", err)
	}
}

// The grammar of the specification, and what it adds for the two algorithms.
var (
	grammar   = regexp.MustCompile(`\A[a-z0-9]+([+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+\z`)
	supported = regexp.MustCompile(`\A(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})\z`)
	ours      = regexp.MustCompile(`\Asha(256|512):`)
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{emptySHA256, emptySHA512, "", ":", "md5:00", "sha256+b64u:LCa0a2j_", "a+.b:0", "sha256:..%2f", "sha256:" + strings.Repeat("A", 64), "blake3:0\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := digest.Parse(s)
		if valid := supported.MatchString(s); valid != (err == nil) {
			t.Fatalf("Parse(%q): %v, the specification says %v", s, err, valid)
		}
		if foreign := grammar.MatchString(s) && !ours.MatchString(s); foreign != errors.Is(err, digest.ErrUnsupported) {
			t.Fatalf("Parse(%q): %v, unsupported should be %v", s, err, foreign)
		}
		if err != nil {
			return
		}
		again, err := digest.Parse(d.String())
		if err != nil || again != d || string(d.Algorithm())+":"+d.Hex() != s {
			t.Fatalf("round trip of %q: %v, %v", s, again, err)
		}
	})
}
