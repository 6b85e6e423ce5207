// Package digest names bytes by their hash.
//
// A digest is written "algorithm:hex", for instance "sha256:e3b0c442…". A
// Digest can only be made by Parse or from bytes, so one that exists is valid:
// its algorithm is supported, its hex is lower case and of the right length.
// It is therefore safe as a part of a path.
//
// Source: OCI image specification, descriptor.md, "Digests".
package digest

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

var (
	// ErrInvalid is what every error of Parse is.
	ErrInvalid = errors.New("invalid digest")
	// ErrUnsupported says that the digest is well formed but of an algorithm
	// that is not served here. It is an ErrInvalid too.
	ErrUnsupported = fmt.Errorf("%w: unsupported algorithm", ErrInvalid)
	// ErrMismatch says that bytes are not those that a digest names.
	ErrMismatch = errors.New("content does not match its digest")
)

// Algorithm is the name of a hash function: SHA256 or SHA512.
type Algorithm string

const (
	SHA256 Algorithm = "sha256"
	SHA512 Algorithm = "sha512"
)

// ParseAlgorithm returns the algorithm of that name, or ErrUnsupported.
func ParseAlgorithm(name string) (Algorithm, error) {
	switch a := Algorithm(name); a {
	case SHA256, SHA512:
		return a, nil
	}
	return "", ErrUnsupported
}

// New starts a hash. It implements encoding.BinaryMarshaler and
// encoding.BinaryUnmarshaler, so a half-done sum can be put aside.
func (a Algorithm) New() hash.Hash {
	if a == SHA512 {
		return sha512.New()
	}
	return sha256.New()
}

// HexLen is the length of the hex part of a digest.
func (a Algorithm) HexLen() int {
	if a == SHA512 {
		return 2 * sha512.Size
	}
	return 2 * sha256.Size
}

// Digest is the name of some bytes. Digests are comparable; the zero value
// names nothing.
type Digest struct{ text string }

// Parse reads "algorithm:hex". Its errors are ErrInvalid, and ErrUnsupported
// where the form is right and only the algorithm is unknown.
func Parse(s string) (Digest, error) {
	name, sum, found := strings.Cut(s, ":")
	if !found {
		return Digest{}, fmt.Errorf("%w: no colon", ErrInvalid)
	}
	a, err := ParseAlgorithm(name)
	if err != nil {
		if wellFormed(name, sum) {
			return Digest{}, err
		}
		return Digest{}, fmt.Errorf("%w: malformed", ErrInvalid)
	}
	if len(sum) != a.HexLen() {
		return Digest{}, fmt.Errorf("%w: %s wants %d hex digits, not %d", ErrInvalid, a, a.HexLen(), len(sum))
	}
	for i := range len(sum) {
		if c := sum[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return Digest{}, fmt.Errorf("%w: not lower case hex", ErrInvalid)
		}
	}
	return Digest{s}, nil
}

// wellFormed tells whether name and sum follow the grammar that holds for all
// algorithms, also those to come:
// [a-z0-9]+([+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+
func wellFormed(name, sum string) bool {
	word := false // the byte before was a letter or digit
	for i := range len(name) {
		switch c := name[i]; {
		case isLowerAlnum(c):
			word = true
		case word && strings.IndexByte("+._-", c) >= 0:
			word = false
		default:
			return false
		}
	}
	for i := range len(sum) {
		c := sum[i]
		if !isLowerAlnum(c) && (c < 'A' || c > 'Z') && c != '=' && c != '_' && c != '-' {
			return false
		}
	}
	return word && sum != ""
}

func isLowerAlnum(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' }

// MustParse is Parse for constants; it panics on an error.
func MustParse(s string) Digest {
	d, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return d
}

// FromBytes is the sha256 digest of b.
func FromBytes(b []byte) Digest { return SHA256.FromBytes(b) }

// FromBytes is the digest of b.
func (a Algorithm) FromBytes(b []byte) Digest {
	h := a.New()
	h.Write(b)
	return a.FromHash(h)
}

// FromHash is the digest that h, started by a.New, has come to.
func (a Algorithm) FromHash(h hash.Hash) Digest {
	return Digest{string(a) + ":" + hex.EncodeToString(h.Sum(nil))}
}

// String is the "algorithm:hex" form, or "" for the zero value.
func (d Digest) String() string { return d.text }

// IsZero tells whether d names nothing.
func (d Digest) IsZero() bool { return d.text == "" }

// Algorithm is the part before the colon.
func (d Digest) Algorithm() Algorithm {
	name, _, _ := strings.Cut(d.text, ":")
	return Algorithm(name)
}

// Hex is the part after the colon.
func (d Digest) Hex() string {
	_, sum, _ := strings.Cut(d.text, ":")
	return sum
}

// MarshalText makes a Digest a JSON string.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.text), nil }

// UnmarshalText is Parse.
func (d *Digest) UnmarshalText(text []byte) (err error) {
	*d, err = Parse(string(text))
	return err
}

// Verifier is written the bytes that should be what a digest names.
type Verifier struct {
	want Digest
	hash hash.Hash
}

// NewVerifier starts a check against want.
func NewVerifier(want Digest) *Verifier {
	return &Verifier{want, want.Algorithm().New()}
}

// Write never fails.
func (v *Verifier) Write(p []byte) (int, error) { return v.hash.Write(p) }

// Verify returns nil, or ErrMismatch if what was written is something else.
func (v *Verifier) Verify() error {
	if got := v.want.Algorithm().FromHash(v.hash); got != v.want {
		return fmt.Errorf("%w: got %s, want %s", ErrMismatch, got, v.want)
	}
	return nil
}

// NewReader passes r through and returns ErrMismatch in place of io.EOF if what
// came was not what want names.
func NewReader(r io.Reader, want Digest) io.Reader {
	return &verifyingReader{r, NewVerifier(want)}
}

type verifyingReader struct {
	r io.Reader
	v *Verifier
}

func (r *verifyingReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.v.Write(p[:n])
	if err == io.EOF {
		if bad := r.v.Verify(); bad != nil {
			return n, bad
		}
	}
	return n, err
}
