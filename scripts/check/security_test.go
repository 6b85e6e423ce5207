package check

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// named is a test that docs/security.md names: [TestX](../folder/x_test.go).
var named = regexp.MustCompile(`\[((?:Test|Fuzz)\w+)\]\((\.\./[^)]+)\)`)

// Each promise names the tests that fail without it, and those are there.
func TestPromisesHaveTests(t *testing.T) {
	const docs = "../../docs"
	raw, err := os.ReadFile(filepath.Join(docs, "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	promises, found := 0, 0
	for line := range strings.Lines(string(raw)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		tests := named.FindAllStringSubmatch(line, -1)
		if len(cells) == 4 && !strings.HasPrefix(cells[1], "---") && cells[1] != " promise " { // of a table of promises
			promises++
			if len(tests) == 0 {
				t.Errorf("no test holds: %s", cells[1])
			}
		}
		for _, test := range tests {
			found++
			source, err := os.ReadFile(filepath.Join(docs, filepath.FromSlash(test[2])))
			if err != nil {
				t.Error(err)
			} else if !strings.Contains(string(source), "\nfunc "+test[1]+"(") {
				t.Errorf("%s is not in %s", test[1], test[2])
			}
		}
	}
	if promises < 40 || found < promises {
		t.Errorf("%d promises and %d tests were found", promises, found)
	}
}
