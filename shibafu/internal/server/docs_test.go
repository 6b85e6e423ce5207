package server

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

// operating is docs/operating.md.
func operating(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// between is what stands in text between two marks, each of which it has once.
func between(t *testing.T, text, begin, end string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, begin)
	inside, _, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("nothing stands between %q and %q", begin, end)
	}
	return inside
}

// The table of settings is what the program has.
func TestSettingsAreDocumented(t *testing.T) {
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	var want strings.Builder
	want.WriteString("| flag | variable | field | default | what it is |\n|---|---|---|---|---|\n")
	for _, s := range NewConfig(fs).settings {
		f := fs.Lookup(s.flag)
		argument, usage := flag.UnquoteUsage(f)
		if argument != "" {
			argument = " " + argument
		}
		value := "`" + f.DefValue + "`"
		switch {
		case s.flag == "root":
			value = "see above"
		case f.DefValue == "":
			value = ""
		}
		fmt.Fprintf(&want, "| `--%s%s` | `%s` | `%s` | %s | %s |\n", s.flag, argument, s.variable(), s.field, value, strings.TrimSuffix(usage, " (default 0)"))
	}
	got := between(t, operating(t), "<!-- settings: checked against the program by its tests -->\n", "<!-- /settings -->")
	if got != want.String() {
		t.Errorf("the table of settings in docs/operating.md is to be\n%s", &want)
	}
}

func TestExampleIsAConfiguration(t *testing.T) {
	example := between(t, operating(t), "```json\n", "```\n")
	c, _, err := settleFile([]byte(example))
	if err != nil || c.Root != "/srv/registry" || c.Delete {
		t.Errorf("%+v, %v", c, err)
	}
	wrong := strings.Replace(example, `"blob"`, `"blobs"`, 1)
	if _, _, err := settleFile([]byte(wrong)); err == nil || !strings.Contains(operating(t), "\nshibafu registry serve: "+err.Error()+"\n") {
		t.Errorf("the error that is shown is not %v", err)
	}
}

// Whatever limits a client is in the table of what it sees.
func TestLimitsAreDocumented(t *testing.T) {
	table := between(t, operating(t), "\n## Limits\n", "\n## ")
	for _, s := range NewConfig(flag.NewFlagSet("", flag.ContinueOnError)).settings {
		if strings.HasPrefix(s.field, "limits.") && s.field != "limits.cache" && !strings.Contains(table, "`"+s.field+"`") {
			t.Errorf("%s is not there", s.field)
		}
	}
}
