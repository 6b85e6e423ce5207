// Package ref holds the names by which a registry's content is referred to:
// repository names, tags, and full references such as
// "localhost:5000/team/app:1.2@sha256:…".
//
// Each type can only be made by its Parse function, so a value that exists is
// valid, and safe as a part of a path: no dot segment, no slash but between the
// components of a Name, no control character.
//
// Source: OCI distribution specification, "Pulling manifests".
package ref

import (
	"errors"
	"fmt"
	"strings"

	"shibafu.dev/step1-spec-notes/digest"
)

// What the errors of this package are.
var (
	ErrName      = errors.New("invalid repository name")
	ErrTag       = errors.New("invalid tag")
	ErrReference = errors.New("invalid reference")
)

// Lengths in bytes. The specification bounds tags; a name of 255 bytes is what
// many clients and every file system can carry.
const (
	MaxNameLen = 255
	MaxTagLen  = 128
)

// Name is the name of a repository: "library/alpine".
type Name struct{ text string }

// ParseName reads a repository name. Its errors are ErrName.
func ParseName(s string) (Name, error) {
	if s == "" {
		return Name{}, fmt.Errorf("%w: empty", ErrName)
	}
	if len(s) > MaxNameLen {
		return Name{}, fmt.Errorf("%w: longer than %d bytes", ErrName, MaxNameLen)
	}
	for rest, more := s, true; more; {
		var component string
		component, rest, more = strings.Cut(rest, "/")
		if !isComponent(component) {
			return Name{}, fmt.Errorf("%w: want lower case letters and digits, joined by . _ __ or dashes, in parts joined by /", ErrName)
		}
	}
	return Name{s}, nil
}

// isComponent matches [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
func isComponent(s string) bool {
	word := false // the byte before was a letter or digit
	for i := 0; i < len(s); {
		if isLowerAlnum(s[i]) {
			word = true
			i++
			continue
		}
		if !word {
			return false
		}
		start := i
		for i < len(s) && s[i] == s[start] {
			i++
		}
		switch run := i - start; s[start] {
		case '.':
			word = run == 1
		case '_':
			word = run <= 2
		case '-':
		default:
			return false
		}
		if !word {
			return false
		}
		word = false
	}
	return word
}

func isLowerAlnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// MustName is ParseName for constants; it panics on an error.
func MustName(s string) Name {
	n, err := ParseName(s)
	if err != nil {
		panic(err)
	}
	return n
}

// String is the name as it was parsed, "" for the zero value.
func (n Name) String() string { return n.text }

// IsZero tells whether n names nothing.
func (n Name) IsZero() bool { return n.text == "" }

// MarshalText makes a Name a JSON string.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.text), nil }

// UnmarshalText is ParseName.
func (n *Name) UnmarshalText(text []byte) (err error) {
	*n, err = ParseName(string(text))
	return err
}

// Tag is a name that a repository gives to one manifest, and may give to another
// one later.
type Tag struct{ text string }

// ParseTag reads a tag: [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}. Its errors are ErrTag.
func ParseTag(s string) (Tag, error) {
	if s == "" {
		return Tag{}, fmt.Errorf("%w: empty", ErrTag)
	}
	if len(s) > MaxTagLen {
		return Tag{}, fmt.Errorf("%w: longer than %d bytes", ErrTag, MaxTagLen)
	}
	for i := range len(s) {
		c := s[i]
		first := isLowerAlnum(c) || c >= 'A' && c <= 'Z' || c == '_'
		if !first && (i == 0 || c != '.' && c != '-') {
			return Tag{}, fmt.Errorf("%w: want letters, digits, _ . and -, not led by . or -", ErrTag)
		}
	}
	return Tag{s}, nil
}

// MustTag is ParseTag for constants; it panics on an error.
func MustTag(s string) Tag {
	t, err := ParseTag(s)
	if err != nil {
		panic(err)
	}
	return t
}

// String is the tag as it was parsed, "" for the zero value.
func (t Tag) String() string { return t.text }

// IsZero tells whether t names nothing.
func (t Tag) IsZero() bool { return t.text == "" }

// MarshalText makes a Tag a JSON string.
func (t Tag) MarshalText() ([]byte, error) { return []byte(t.text), nil }

// UnmarshalText is ParseTag.
func (t *Tag) UnmarshalText(text []byte) (err error) {
	*t, err = ParseTag(string(text))
	return err
}

// TagOrDigest is the last part of a manifest's path: exactly one of the two. It
// is comparable.
type TagOrDigest struct {
	tag    Tag
	digest digest.Digest
}

// ParseTagOrDigest reads a digest if s holds a colon, which a tag never does,
// else a tag. Its errors are digest.ErrInvalid and ErrTag.
func ParseTagOrDigest(s string) (TagOrDigest, error) {
	if strings.Contains(s, ":") {
		d, err := digest.Parse(s)
		return ByDigest(d), err
	}
	t, err := ParseTag(s)
	return ByTag(t), err
}

// ByTag refers by a tag.
func ByTag(t Tag) TagOrDigest { return TagOrDigest{tag: t} }

// ByDigest refers by a digest.
func ByDigest(d digest.Digest) TagOrDigest { return TagOrDigest{digest: d} }

// Tag returns the tag, and whether it is one.
func (r TagOrDigest) Tag() (Tag, bool) { return r.tag, !r.tag.IsZero() }

// Digest returns the digest, and whether it is one.
func (r TagOrDigest) Digest() (digest.Digest, bool) { return r.digest, !r.digest.IsZero() }

// String is the tag's or the digest's text.
func (r TagOrDigest) String() string { return r.tag.text + r.digest.String() }
