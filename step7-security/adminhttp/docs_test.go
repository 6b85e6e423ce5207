package adminhttp

import (
	"os"
	"strings"
	"testing"
)

// The table in docs/admin.md is that of the routes.
func TestRoutesAreDocumented(t *testing.T) {
	raw, err := os.ReadFile("../../docs/admin.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "<!-- routes: checked against the program by its tests -->\n")
	got, _, _ := strings.Cut(rest, "<!-- /routes -->")
	var want strings.Builder
	want.WriteString("| method | path | in the audit log |\n|---|---|---|\n")
	for _, r := range new(api).routes() {
		told := ""
		if r.changes() {
			told = "`" + r.action + "`"
		}
		want.WriteString("| " + r.method + " | `" + r.path + "` | " + told + " |\n")
	}
	if got != want.String() {
		t.Errorf("the table in docs/admin.md is to be\n%s", &want)
	}
	for _, k := range kinds {
		if !strings.Contains(string(raw), "`"+string(k.code)+"`") {
			t.Errorf("%s is not explained", k.code)
		}
	}
}
