package policy

import (
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/ref"
)

func TestNames(t *testing.T) {
	tests := []struct {
		name     string
		patterns string
		asked    string
		want     bool
	}{
		{"no pattern", "", "a", false},
		{"the first", "team/** lib", "team/a", true},
		{"the last", "team/** lib", "lib", true},
		{"none of them", "team/** lib", "other", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := ParseNames(strings.Fields(tt.patterns)...)
			if err != nil || n.Has(ref.MustName(tt.asked)) != tt.want {
				t.Errorf("Has = %v, %v; want %v", !tt.want, err, tt.want)
			}
		})
	}
	if _, err := ParseNames("a", "B"); err == nil || !strings.Contains(err.Error(), `"B"`) {
		t.Errorf("a bad pattern: %v", err)
	}
}
