package policy

import (
	"fmt"

	"shibafu.dev/step1-spec-notes/ref"
)

// Names is a set of repositories, said by patterns as rules have them. Its zero value is
// empty.
type Names struct{ globs []glob }

// ParseNames reads patterns. Its errors name the one that is none.
func ParseNames(patterns ...string) (Names, error) {
	var n Names
	for _, s := range patterns {
		g, err := parseGlob(s)
		if err != nil {
			return Names{}, fmt.Errorf("%q: %w", s, err)
		}
		n.globs = append(n.globs, g)
	}
	return n, nil
}

// Has tells whether one of the patterns has the name.
func (n Names) Has(name ref.Name) bool {
	for i := range n.globs {
		if n.globs[i].match(name.String()) {
			return true
		}
	}
	return false
}
