package issuer

import (
	"regexp"
	"strings"
	"testing"
)

func TestGlob(t *testing.T) {
	tests := []struct {
		pattern, text string
		want          bool
	}{
		{"main", "main", true}, {"main", "main2", false}, {"", "", true}, {"*", "", true}, {"*", "a/b", true},
		{"a*", "ab", true}, {"a*", "ba", false}, {"*a", "ba", true}, {"a*a", "a", false}, {"a*a", "aa", true},
		{"a*b*c", "a1b2c", true}, {"a*b*c", "acb", false}, {"*ab*", "xaby", true}, {"refs/tags/*", "refs/tags/v1/x", true},
		{"refs/tags/*", "refs/heads/refs/tags/x", false}, {"[a]", "a", false}, {"?", "a", false},
	}
	for _, tt := range tests {
		if got := glob(tt.pattern, tt.text); got != tt.want {
			t.Errorf("glob(%q, %q) = %v", tt.pattern, tt.text, got)
		}
	}
}

// The standard library's expressions say the same.
func FuzzGlob(f *testing.F) {
	f.Add("a*b*c", "a1b2c")
	f.Add("*", "x")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if strings.ToValidUTF8(pattern+text, "") != pattern+text {
			return // expressions see letters, and globs bytes
		}
		e, err := regexp.Compile(`(?s)\A` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `\z`)
		if err != nil {
			return
		}
		if got, want := glob(pattern, text), e.MatchString(text); got != want {
			t.Fatalf("glob(%q, %q) = %v", pattern, text, got)
		}
	})
}
