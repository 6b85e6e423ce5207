package seccomp

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The Go tools come with all numbers, made from the kernel's headers, and with them
// this is compared: every call that they know is in one list, under its numbers.
func TestNumbers(t *testing.T) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(strings.TrimSpace(string(out)), "src/cmd/vendor/golang.org/x/sys/unix")
	for name, a := range architectures() {
		ours := map[string]int{}
		for _, c := range slices.Concat(allowed, refused, unknown) {
			ours[c.name] = a.number(c)
		}
		for _, c := range checked {
			ours[c.name] = a.number(c.call)
		}
		theirs := numbersIn(t, filepath.Join(folder, "zsysnum_linux_"+name+".go"))
		if len(theirs) < 300 {
			t.Errorf("%s: only %d numbers found", name, len(theirs))
		}
		for _, call := range slices.Sorted(maps.Keys(theirs)) {
			if n, ok := ours[call]; !ok || n != theirs[call] {
				t.Errorf("%s: %s is %d, here %d (listed: %v)", name, call, theirs[call], n, ok)
			}
		}
		for _, call := range slices.Sorted(maps.Keys(ours)) {
			if _, ok := theirs[call]; !ok && ours[call] != none && !newer[call] {
				t.Errorf("%s has no %s", name, call)
			}
		}
	}
}

// newer is what the tools do not know yet.
var newer = map[string]bool{"uprobe": true, "open_tree_attr": true, "file_getattr": true, "file_setattr": true}

// numbersIn reads the constants SYS_… of a Go file, under the kernel's names.
func numbersIn(t *testing.T, path string) map[string]int {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]int{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		value, isLiteral := spec.Values[0].(*ast.BasicLit)
		name, found := strings.CutPrefix(spec.Names[0].Name, "SYS_")
		if !isLiteral || !found || name == "ARCH_SPECIFIC_SYSCALL" { // where a range begins
			return true
		}
		if name == "FSTATAT" {
			name = "NEWFSTATAT" // as the kernel calls it where there is but one
		}
		number, err := strconv.Atoi(value.Value)
		if err != nil {
			t.Fatal(err)
		}
		numbers[strings.ToLower(name)] = number
		return true
	})
	return numbers
}

// From 424 on the kernel gives a call the same number everywhere.
func TestNewNumbersAreTheSame(t *testing.T) {
	for _, c := range slices.Concat(allowed, refused, unknown) {
		if max(c.amd64, c.arm64) >= 424 && c.amd64 != c.arm64 {
			t.Errorf("%s: %d and %d", c.name, c.amd64, c.arm64)
		}
	}
}
