// Package check holds the source to the rules that no compiler knows.
package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// pkg is a package of the workspace.
type pkg struct {
	path    string
	imports []string // of its tests too
}

func packages(t *testing.T) []pkg {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	list := exec.Command("go", "list", "-f", "{{.ImportPath}}\t{{join .Imports \" \"}}\t{{join .TestImports \" \"}} {{join .XTestImports \" \"}}", "work")
	list.Dir = root
	list.Env = append(os.Environ(), "GOWORK="+filepath.Join(root, "go.work"))
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		p := pkg{path: fields[0]}
		for _, list := range fields[1:] {
			p.imports = append(p.imports, strings.Fields(list)...)
		}
		all = append(all, p)
	}
	if len(all) < 20 {
		t.Fatalf("go list found %d packages", len(all))
	}
	return all
}

// module is the first part of a path behind the project's own prefix, "" for one
// that is not the project's.
func module(path string) string {
	rest, ok := strings.CutPrefix(path, "shibafu.dev/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// below lists what a module may import besides itself: the steps below it.
var below = map[string][]string{
	"step1-spec-notes": {},
	"step2-cas":        {"step1-spec-notes"},
	"step3-api":        {"step1-spec-notes", "step2-cas"},
	"step4-upload":     {"step1-spec-notes", "step2-cas", "step3-api"},
	"step5-manifest":   {"step1-spec-notes", "step2-cas", "step3-api", "step4-upload"},
	"step6-client":     {"step1-spec-notes", "step2-cas", "step3-api", "step4-upload", "step5-manifest"},
	"step7-security":   {"step1-spec-notes", "step2-cas", "step3-api", "step4-upload", "step5-manifest", "step6-client"},
	"shibafu":          {"step1-spec-notes", "step2-cas", "step3-api", "step4-upload", "step5-manifest", "step6-client", "step7-security"},
	"scripts":          {"step1-spec-notes"},
}

func TestImportsGoUpTheSteps(t *testing.T) {
	for _, p := range packages(t) {
		from := module(p.path)
		allowed, known := below[from]
		if !known {
			t.Errorf("%s is in no module that this test knows", p.path)
		}
		for _, path := range p.imports {
			to := module(path)
			if to == "" || to == from {
				continue
			}
			if !contains(allowed, to) {
				t.Errorf("%s imports %s, which is not below it", p.path, path)
			}
		}
	}
}

func TestStandardLibraryOnly(t *testing.T) {
	for _, p := range packages(t) {
		for _, path := range p.imports {
			first, _, _ := strings.Cut(path, "/")
			if module(path) == "" && strings.Contains(first, ".") {
				t.Errorf("%s imports %s from outside", p.path, path)
			}
		}
	}
}

// What a package does is its domain, and how that is said over HTTP is that of
// the package beside it.
func TestDomainPackagesKnowNoHTTP(t *testing.T) {
	domain := []string{"digest", "ref", "oci", "bucket", "bucket/dir", "bucket/dir/journal", "bucket/mem", "cas", "upload",
		"manifest", "repo", "layer", "credential", "journal", "layout", "archive", "transfer",
		"place", "report", "cmdline", "internal/container", "internal/container/account", "internal/container/cgroup",
		"internal/container/control", "internal/container/inside", "internal/container/linux", "internal/container/seccomp",
		"internal/container/userns", "watch", "policy", "quota", "ratelimit", "tlsconf", "forwarded",
		"auth", "auth/password", "auth/jwt", "auth/keys", "auth/issuer", "observe/metrics", "observe/figures", "audit", "health", "usage", "notify", "admin", "socket"}
	found := 0
	for _, p := range packages(t) {
		_, name, _ := strings.Cut(strings.TrimPrefix(p.path, "shibafu.dev/"), "/")
		if !contains(domain, name) || module(p.path) == "scripts" {
			continue
		}
		found++
		if contains(p.imports, "net/http") {
			t.Errorf("%s imports net/http", p.path)
		}
	}
	if found != len(domain) {
		t.Errorf("found %d of %d domain packages", found, len(domain))
	}
}

func TestNoDrawers(t *testing.T) {
	for _, p := range packages(t) {
		if name := filepath.Base(p.path); contains([]string{"common", "util", "utils", "types", "helpers", "misc"}, name) {
			t.Errorf("%s: a name that says nothing", p.path)
		}
	}
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}
