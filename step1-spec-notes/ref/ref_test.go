package ref_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
)

func TestParseName(t *testing.T) {
	tests := []struct {
		name, text string
		valid      bool
		reason     string
	}{
		{"one part", "alpine", true, "a name needs no slash"},
		{"parts", "library/alpine/edge", true, "as many as fit"},
		{"digits", "0/1", true, "a part may be a digit"},
		{"separators", "a.b_c__d-e---f", true, "one dot, one or two underscores, any dashes"},
		{"words of the API", "tags/list/blobs/uploads/manifests", true, "no word is reserved"},
		{"255 bytes", strings.Repeat("a", 255), true, "the longest"},
		{"256 bytes", strings.Repeat("a", 256), false, "clients and file systems cannot carry it"},
		{"empty", "", false, "a name has a part"},
		{"upper case", "UPPER", false, "file systems may fold case"},
		{"two dots", "a..b", false, "smells of a parent folder"},
		{"dots", "..", false, "the parent folder"},
		{"dot", "a/./b", false, "the folder itself"},
		{"three underscores", "a___b", false, "the grammar stops at two"},
		{"mixed separators", "a.-b", false, "one kind between letters"},
		{"leading dash", "-a", false, "an option to a command"},
		{"trailing dot", "a.", false, "Windows drops it"},
		{"leading slash", "/a", false, "an absolute path"},
		{"trailing slash", "a/", false, "an empty part"},
		{"two slashes", "a//b", false, "an empty part"},
		{"backslash", `a\b`, false, "a slash to Windows"},
		{"colon", "a:b", false, "where a tag starts"},
		{"NUL", "a\x00b", false, "ends a path in C"},
		{"newline", "a\n", false, "a line read with its end"},
		{"letter beyond ASCII", "ä", false, "ASCII only"},
		{"overlong UTF-8", "a\xc0\xafb", false, "a slash to a bad decoder"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := ref.ParseName(tt.text)
			if tt.valid {
				if err != nil || n.String() != tt.text {
					t.Errorf("ParseName = %q, %v; want the text back (%s)", n, err, tt.reason)
				}
				return
			}
			if !errors.Is(err, ref.ErrName) || !n.IsZero() {
				t.Errorf("ParseName = %q, %v; want ErrName (%s)", n, err, tt.reason)
			}
		})
	}
}

func TestParseTag(t *testing.T) {
	tests := []struct {
		name, text string
		valid      bool
		reason     string
	}{
		{"version", "v1.2.3", true, ""},
		{"capitals", "RC1", true, "unlike in names"},
		{"underscore first", "_x", true, ""},
		{"all kinds", "aZ09_.-", true, ""},
		{"128 bytes", strings.Repeat("t", 128), true, "the longest"},
		{"129 bytes", strings.Repeat("t", 129), false, "one too many"},
		{"empty", "", false, "one character at least"},
		{"leading dot", ".x", false, "a hidden file"},
		{"dots", "..", false, "the parent folder"},
		{"leading dash", "-x", false, "an option to a command"},
		{"plus", "1.0+build", false, "helm writes _ for it"},
		{"slash", "a/b", false, "a part of a path"},
		{"colon", "sha256:aa", false, "a digest is not a tag"},
		{"space", "a b", false, ""},
		{"NUL", "a\x00", false, ""},
		{"letter beyond ASCII", "é", false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tag, err := ref.ParseTag(tt.text)
			if tt.valid {
				if err != nil || tag.String() != tt.text {
					t.Errorf("ParseTag = %q, %v; want the text back (%s)", tag, err, tt.reason)
				}
				return
			}
			if !errors.Is(err, ref.ErrTag) || !tag.IsZero() {
				t.Errorf("ParseTag = %q, %v; want ErrTag (%s)", tag, err, tt.reason)
			}
		})
	}
}

func TestParseTagOrDigest(t *testing.T) {
	d := digest.FromBytes(nil)
	if r, err := ref.ParseTagOrDigest("latest"); err != nil || r != ref.ByTag(ref.MustTag("latest")) || r.String() != "latest" {
		t.Errorf("tag: %v, %v", r, err)
	}
	if r, err := ref.ParseTagOrDigest(d.String()); err != nil || r != ref.ByDigest(d) || r.String() != d.String() {
		t.Errorf("digest: %v, %v", r, err)
	}
	if _, err := ref.ParseTagOrDigest("sha256:zz"); !errors.Is(err, digest.ErrInvalid) {
		t.Errorf("a colon makes it a digest, so the error is a digest's: %v", err)
	}
	if _, err := ref.ParseTagOrDigest(".x"); !errors.Is(err, ref.ErrTag) {
		t.Errorf("without a colon the error is a tag's: %v", err)
	}
	if _, isTag := ref.ByDigest(d).Tag(); isTag {
		t.Error("a digest is a tag")
	}
}

func TestJSON(t *testing.T) {
	var doc struct {
		Name ref.Name
		Tag  ref.Tag
	}
	const text = `{"Name":"a/b","Tag":"1"}`
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	if back, err := json.Marshal(doc); string(back) != text || err != nil {
		t.Errorf("Marshal = %s, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"Name":"A"}`), &doc); !errors.Is(err, ref.ErrName) {
		t.Errorf("bad name: %v", err)
	}
	if err := json.Unmarshal([]byte(`{"Tag":""}`), &doc); !errors.Is(err, ref.ErrTag) {
		t.Errorf("bad tag: %v", err)
	}
}

// The grammars of the specification.
const nameGrammar = `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`

var (
	nameRE = regexp.MustCompile(`\A` + nameGrammar + `\z`)
	tagRE  = regexp.MustCompile(`\A[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}\z`)
)

func FuzzName(f *testing.F) {
	for _, s := range []string{"a", "library/alpine", "a.b_c__d--e", "a___b", "a/", "/a", "..", "A", "a\x00", "a-", strings.Repeat("a/", 128) + "a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ref.ParseName(s)
		if valid := nameRE.MatchString(s) && len(s) <= ref.MaxNameLen; valid != (err == nil) {
			t.Fatalf("ParseName(%q): %v, the specification says %v", s, err, valid)
		}
		if err == nil && n.String() != s {
			t.Fatalf("%q came back as %q", s, n)
		}
	})
}

func FuzzTag(f *testing.F) {
	for _, s := range []string{"latest", "_", ".x", "-x", "a+b", "", strings.Repeat("x", 128), strings.Repeat("x", 129), "é", "a\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tag, err := ref.ParseTag(s)
		if valid := tagRE.MatchString(s); valid != (err == nil) {
			t.Fatalf("ParseTag(%q): %v, the specification says %v", s, err, valid)
		}
		if err == nil && tag.String() != s {
			t.Fatalf("%q came back as %q", s, tag)
		}
	})
}
