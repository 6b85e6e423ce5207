package policy

import (
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/ref"
)

func TestGlob(t *testing.T) {
	tests := []struct {
		glob, name string
		want       bool
		reason     string
	}{
		{"team", "team", true, ""},
		{"team", "teamwork", false, "a name is no prefix"},
		{"team", "team/a", false, ""},
		{"team/*", "team/a", true, ""},
		{"team/*", "team/a/b", false, "* stays within a part"},
		{"team/*", "team", false, ""},
		{"team/**", "team/a", true, ""},
		{"team/**", "team/a/b", true, ""},
		{"team/**", "team", false, "** is one part or more"},
		{"team/**", "teamwork/a", false, ""},
		{"team*/a", "teamwork/a", true, ""},
		{"team*/a", "team/a", true, "* may be no text"},
		{"*", "a/b/c", true, "every repository"},
		{"**", "a", true, ""},
		{"*/*", "a", false, ""},
		{"*/*", "a/b", true, ""},
		{"**/cache", "a/b/cache", true, ""},
		{"**/cache", "cache", false, ""},
		{"**/cache", "a/xcache", false, ""},
		{"a/**/z", "a/z", false, ""},
		{"a/**/z", "a/b/z", true, ""},
		{"a/**/b/*", "a/x/y/b/c", true, ""},
		{"a/**/b/*", "a/b/c", false, ""},
		{"*-dev/**", "a-dev/b/c", true, ""},
		{"a*b*c/d", "abbc/d", true, ""},
		{"a*b*c/d", "acb/d", false, ""},
		{"ab*ba/d", "aba/d", false, "the ends do not overlap"},
		{"*", "", true, "the registry"},
		{"**/a", "", false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.glob+" "+tt.name, func(t *testing.T) {
			g, err := parseGlob(tt.glob)
			if err != nil {
				t.Fatal(err)
			}
			if got := g.match(tt.name); got != tt.want {
				t.Errorf("match = %v (%s)", got, tt.reason)
			}
		})
	}
}

func TestGlobRefuses(t *testing.T) {
	for _, s := range []string{"", "/", "a/", "/a", "a//b", "A", "a b", "a?", "[a]", "***", "a**", "**/**", "a/**/b/**", "..", "a/../b", "-a", strings.Repeat("a", 256)} {
		if g, err := parseGlob(s); err == nil {
			t.Errorf("%q is %+v", s, g)
		}
	}
}

// model is the grammar, read aloud.
func model(glob, name []string) bool {
	if len(glob) == 0 || len(name) == 0 {
		return len(glob) == 0 && len(name) == 0
	}
	if glob[0] == "**" {
		return model(glob[1:], name[1:]) || model(glob, name[1:])
	}
	return modelPart(glob[0], name[0]) && model(glob[1:], name[1:])
}

func modelPart(glob, s string) bool {
	switch {
	case glob == "":
		return s == ""
	case glob[0] == '*':
		return modelPart(glob[1:], s) || s != "" && modelPart(glob, s[1:])
	}
	return s != "" && glob[0] == s[0] && modelPart(glob[1:], s[1:])
}

func FuzzGlob(f *testing.F) {
	f.Add("team/**", "team/a/b")
	f.Add("a*b*/**/c*", "abb/x/y/c")
	f.Add("*", "a/b")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		g, err := parseGlob(pattern)
		if err != nil || strings.Count(pattern, "*") > 5 || len(name) > 60 {
			return
		}
		if _, err := ref.ParseName(name); err != nil {
			return
		}
		want := pattern == "*" || model(strings.Split(pattern, "/"), strings.Split(name, "/"))
		if got := g.match(name); got != want {
			t.Errorf("%q has %q: %v, want %v", pattern, name, got, want)
		}
		if s := g.span(); want && !g.all && (name < s.from || name >= s.to || name <= justBefore(s.from)) {
			t.Errorf("%q has %q, which is not in %q", pattern, name, s)
		}
	})
}
