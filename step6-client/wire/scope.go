package wire

import (
	"maps"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
)

// Scope is what a token is good for, as token servers write it:
// "repository:library/alpine:pull".
//
// Source: CNCF distribution, "Token Scope Documentation".
type Scope string

// CatalogScope is for the list of all repositories.
const CatalogScope Scope = "registry:catalog:*"

// RepositoryScope is what an action on a repository needs.
func RepositoryScope(name ref.Name, action endpoint.Action) Scope {
	rights := string(action)
	if action == endpoint.Push {
		rights = "pull,push" // nobody pushes without looking
	}
	return Scope("repository:" + name.String() + ":" + rights)
}

// scopes are rights by resource.
type scopes map[string][]string

// maxScopes bounds what a registry can make us ask for.
const maxScopes = 32

// add adds the rights of s, if it has the form of a scope.
func (all scopes) add(s Scope) {
	i := strings.LastIndexByte(string(s), ':')
	if i < 0 || !isScope(string(s)) || len(all) >= maxScopes {
		return
	}
	resource := string(s[:i])
	rights := append(strings.Split(string(s[i+1:]), ","), all[resource]...)
	slices.Sort(rights)
	all[resource] = slices.Compact(rights)
}

// addAll adds the scopes of a challenge, which spaces part.
func (all scopes) addAll(text string) {
	for s := range strings.FieldsSeq(text) {
		all.add(Scope(s))
	}
}

// isScope bounds the length and the letters of a scope that came from outside.
func isScope(s string) bool {
	if len(s) > 1<<10 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// covers tells whether a token for all is good for what is wanted.
func (all scopes) covers(wanted scopes) bool {
	for resource, rights := range wanted {
		for _, right := range rights {
			if !slices.Contains(all[resource], right) {
				return false
			}
		}
	}
	return true
}

// list is the scopes as a request for a token names them, in order.
func (all scopes) list() []string {
	var list []string
	for _, resource := range slices.Sorted(maps.Keys(all)) {
		list = append(list, resource+":"+strings.Join(all[resource], ","))
	}
	return list
}
