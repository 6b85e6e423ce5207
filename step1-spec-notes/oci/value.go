package oci

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"shibafu.dev/step1-spec-notes/digest"
)

// free checks an object whose keys are the author's.
func (f *faults) free(path string, kind Kind, v any) {
	object, ok := v.(map[string]any)
	if !ok {
		f.must(path, "want an object")
		return
	}
	for key, v := range object {
		_, isString := v.(string)
		_, isObject := v.(map[string]any)
		if kind == KindMap && !isString || kind == KindSet && !isObject {
			f.must(path, "has a value that is not "+map[Kind]string{KindMap: "a string", KindSet: "{}"}[kind])
			return
		}
		if kind == KindMap && key == "" {
			f.must(path, "has an empty key")
		}
	}
}

// scalar says what is wrong with v, or "".
func scalar(kind Kind, v any) string {
	text, isString := v.(string)
	number, _ := v.(json.Number)
	_, isBool := v.(bool)
	switch kind {
	case KindVersion:
		if number != "2" {
			return "want the number 2"
		}
		return ""
	case KindSize:
		return size(number)
	case KindBool:
		if !isBool {
			return "want true or false"
		}
		return ""
	}
	if !isString {
		return "want a string"
	}
	switch kind {
	case KindMediaType:
		if !IsMediaType(text) {
			return "not a media type (RFC 6838, section 4.2)"
		}
	case KindDigest:
		if _, err := digest.Parse(text); errors.Is(err, digest.ErrUnsupported) {
			return "well formed, but of an algorithm that is not sha256 or sha512, so nobody can verify it here"
		} else if err != nil {
			return err.Error()
		}
	case KindRootFS:
		if text != RootFSTypeLayers {
			return "want \"" + RootFSTypeLayers + "\"; there is no other"
		}
	case KindTime:
		// time.Parse is laxer than what decodes a time.Time from JSON.
		if err := new(time.Time).UnmarshalText([]byte(text)); err != nil {
			return "not a time of RFC 3339, such as 2026-01-31T12:00:00Z"
		}
	case KindBase64:
		if _, err := base64.StdEncoding.DecodeString(text); err != nil {
			return "not base64"
		}
	}
	return ""
}

func size(n json.Number) string {
	switch v, err := n.Int64(); {
	case n == "":
		return "want a number"
	case err != nil:
		return "not a whole number of 64 bits"
	case v < 0:
		return "negative"
	}
	return ""
}

// IsMediaType tells whether s is a media type without parameters.
//
// Source: RFC 6838, section 4.2.
func IsMediaType(s string) bool {
	kind, sub, found := strings.Cut(s, "/")
	return found && isRestrictedName(kind) && isRestrictedName(sub)
}

func isRestrictedName(s string) bool {
	if s == "" || len(s) > 127 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && (i == 0 || strings.IndexByte("!#$&-^_.+", c) < 0) {
			return false
		}
	}
	return true
}

// quote shows a media type that came from outside, whatever it holds.
func quote(s string) string {
	if !IsMediaType(s) {
		return "something else"
	}
	return s
}
