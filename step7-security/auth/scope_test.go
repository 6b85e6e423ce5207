package auth_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step7-security/auth"
)

func TestParseScopes(t *testing.T) {
	tests := []struct {
		name string
		in   []string
		want string
	}{
		{"none", nil, ""},
		{"empty parameter", []string{""}, ""},
		{"one", []string{"repository:library/alpine:pull"}, "repository:library/alpine:pull"},
		{"order of docker", []string{"repository:a:push,pull"}, "repository:a:pull,push"},
		{"several parameters", []string{"repository:a:pull", "repository:b:pull"}, "repository:a:pull repository:b:pull"},
		{"several in one", []string{"repository:b:pull  repository:a:pull"}, "repository:b:pull repository:a:pull"},
		{"one resource twice", []string{"repository:a:pull", "repository:a:push,pull"}, "repository:a:pull,push"},
		{"class", []string{"repository(plugin):a/b:pull"}, "repository(plugin):a/b:pull"},
		{"class is another resource", []string{"repository(plugin):a:pull repository:a:pull"}, "repository(plugin):a:pull repository:a:pull"},
		{"catalog", []string{"registry:catalog:*"}, "registry:catalog:*"},
		{"host with a port", []string{"repository:host:5000/a:pull"}, "repository:host:5000/a:pull"},
		{"unknown action", []string{"repository:a:fly"}, "repository:a:fly"},
		{"no name of a repository", []string{"repository:../A:pull"}, "repository:../A:pull"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all, err := auth.ParseScopes(tt.in)
			var texts []string
			for _, s := range all {
				texts = append(texts, s.String())
			}
			if got := strings.Join(texts, " "); err != nil || got != tt.want {
				t.Errorf("ParseScopes = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestParseScopesRefuses(t *testing.T) {
	tests := []struct{ name, in string }{
		{"word", "repository"},
		{"no actions", "repository:a"},
		{"empty actions", "repository:a:"},
		{"empty action", "repository:a:pull,,push"},
		{"no name", "repository::pull"},
		{"no type", ":a:pull"},
		{"type in capitals", "Repository:a:pull"},
		{"open class", "repository(plugin:a:pull"},
		{"empty class", "repository():a:pull"},
		{"action in capitals", "repository:a:PULL"},
		{"quote", `repository:a":pull`},
		{"line break is a space", "repository:a\n:pull"},
		{"not ASCII", "repository:ä:pull"},
		{"long", "repository:" + strings.Repeat("a", 1024) + ":pull"},
		{"many actions", "repository:a:" + strings.Repeat("pull,", 16) + "pull"},
		{"many", strings.Repeat("repository:", 1) + strings.Join(manyNames(65), ":pull repository:") + ":pull"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if all, err := auth.ParseScopes([]string{tt.in}); !errors.Is(err, auth.ErrScope) {
				t.Errorf("ParseScopes = %v, %v", all, err)
			}
		})
	}
}

func manyNames(n int) (names []string) {
	for i := range n {
		names = append(names, "a"+strings.Repeat("b", i))
	}
	return names
}

func TestScopeOf(t *testing.T) {
	a := ref.MustName("team/a")
	for action, want := range map[endpoint.Action]string{
		endpoint.Pull: "repository:team/a:pull", endpoint.Push: "repository:team/a:pull,push",
		endpoint.Delete: "repository:team/a:delete", endpoint.Catalog: "registry:catalog:*",
	} {
		if got := auth.ScopeOf(a, action).String(); got != want {
			t.Errorf("%s: %q, want %q", action, got, want)
		}
	}
	if got := auth.ScopeOf(ref.Name{}, endpoint.Ping); !reflect.DeepEqual(got, auth.Scope{}) {
		t.Errorf("ping: %v", got)
	}
}

func TestAccessHas(t *testing.T) {
	access := auth.Access{
		{Type: "repository", Name: "team/a", Actions: []string{"pull", "push"}},
		{Type: "repository", Name: "team/all", Actions: []string{"*"}},
	}
	const none = ""
	tests := []struct{ name, repository, actions string }{
		{"named", "team/a", "pull push ping"},
		{"all actions", "team/all", "pull push delete ping"},
		{"longer name", "team/ab", "ping"},
		{"shorter name", "team", "ping"},
		{"no name", none, "ping"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var name ref.Name
			if tt.repository != none {
				name = ref.MustName(tt.repository)
			}
			for _, action := range []endpoint.Action{endpoint.Pull, endpoint.Push, endpoint.Delete, endpoint.Catalog, endpoint.Ping, "fly", "*"} {
				want := slices.Contains(strings.Fields(tt.actions), string(action))
				if got := access.Has(name, action); got != want {
					t.Errorf("%s is %v", action, got)
				}
			}
		})
	}
	catalog := auth.Access{{Type: "registry", Name: "catalog", Actions: []string{"*"}}}
	if !catalog.Has(ref.Name{}, endpoint.Catalog) || catalog.Has(ref.MustName("catalog"), endpoint.Pull) {
		t.Error("the catalog's scope")
	}
}

// A scope comes back as it went, and is good for what the set of its words says.
func FuzzParseScope(f *testing.F) {
	for _, s := range []string{"repository:a:pull", "repository(plugin):a/b:pull,push", "registry:catalog:*", "repository:host:5000/a:*", "a::b", "repository:team/ab:pull"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := auth.ParseScope(text)
		if err != nil {
			if !errors.Is(err, auth.ErrScope) {
				t.Fatal(err)
			}
			return
		}
		if again, err := auth.ParseScope(s.String()); err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%q comes back as %v, %v", text, again, err)
		}
		a := ref.MustName("team/a")
		parts := strings.Split(text, ":")
		actions := strings.Split(parts[len(parts)-1], ",")
		rest := strings.TrimSuffix(text, ":"+parts[len(parts)-1])
		kind, name, _ := strings.Cut(rest, ":")
		kind, _, _ = strings.Cut(kind, "(")
		want := kind == "repository" && name == "team/a" && (slices.Contains(actions, "pull") || slices.Contains(actions, "*"))
		if got := (auth.Access{s}).Has(a, endpoint.Pull); got != want {
			t.Fatalf("%q is good for pulling: %v, want %v", text, got, want)
		}
	})
}
