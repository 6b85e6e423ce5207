package auth

import (
	"fmt"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
)

// Scope is a resource and actions on it: "repository:library/alpine:pull,push". It is
// both what is asked for and, as JSON, what distribution's tokens carry as an entry of
// "access".
//
// Source: CNCF distribution, "Token Scope Documentation" and "JWT Authentication
// Implementation".
type Scope struct {
	Type    string   `json:"type"`
	Class   string   `json:"class,omitempty"` // "plugin" in "repository(plugin):…"
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// What a request may ask for.
const (
	maxScopes   = 64
	maxScope    = 1 << 10 // bytes
	maxActions  = 16
	repository  = "repository"
	registry    = "registry"
	catalogName = "catalog"
	allActions  = "*"
)

// ParseScope reads a scope. The name may hold colons, as those of a host with a port do,
// and need not be that of a repository here: then it is good for nothing. Its errors are
// ErrScope.
func ParseScope(text string) (Scope, error) {
	first, last := strings.IndexByte(text, ':'), strings.LastIndexByte(text, ':')
	if len(text) > maxScope || first < 0 || first == last {
		return Scope{}, fmt.Errorf("%w: want TYPE:NAME:ACTIONS", ErrScope)
	}
	s := Scope{Type: text[:first], Name: text[first+1 : last], Actions: strings.Split(text[last+1:], ",")}
	if kind, class, found := strings.Cut(s.Type, "("); found {
		if s.Class, found = strings.CutSuffix(class, ")"); !found || !isWord(s.Class) {
			return Scope{}, fmt.Errorf("%w: the class is no word", ErrScope)
		}
		s.Type = kind
	}
	if !isWord(s.Type) || s.Name == "" || strings.ContainsFunc(s.Name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' }) {
		return Scope{}, fmt.Errorf("%w: type or name are none", ErrScope)
	}
	if len(s.Actions) > maxActions || slices.ContainsFunc(s.Actions, func(a string) bool { return a != allActions && !isWord(a) }) {
		return Scope{}, fmt.Errorf("%w: the actions are no words", ErrScope)
	}
	slices.Sort(s.Actions)
	s.Actions = slices.Compact(s.Actions)
	return s, nil
}

// isWord tells whether s is of lower case letters, digits and dashes.
func isWord(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// String is the text that ParseScope reads.
func (s Scope) String() string {
	kind := s.Type
	if s.Class != "" {
		kind += "(" + s.Class + ")"
	}
	return kind + ":" + s.Name + ":" + strings.Join(s.Actions, ",")
}

// ParseScopes reads the values of scope parameters, each of them a list parted by spaces,
// and puts together those that are about the same resource. Its errors are ErrScope.
func ParseScopes(values []string) ([]Scope, error) {
	var all []Scope
	for _, v := range values {
		for text := range strings.FieldsSeq(v) {
			s, err := ParseScope(text)
			if err != nil {
				return nil, err
			}
			i := slices.IndexFunc(all, func(o Scope) bool { return o.Type == s.Type && o.Class == s.Class && o.Name == s.Name })
			if i < 0 {
				i, all = len(all), append(all, Scope{Type: s.Type, Class: s.Class, Name: s.Name})
			}
			actions := append(all[i].Actions, s.Actions...)
			slices.Sort(actions)
			all[i].Actions = slices.Compact(actions)
			if len(all) > maxScopes {
				return nil, fmt.Errorf("%w: more than %d of them", ErrScope, maxScopes)
			}
		}
	}
	return all, nil
}

// ScopeOf is what an action needs; the name is that of a repository, or zero for the
// catalog. A push needs pull too, as nobody pushes without looking. It is zero for what
// needs no right.
func ScopeOf(name ref.Name, action endpoint.Action) Scope {
	switch action {
	case endpoint.Catalog:
		return Scope{Type: registry, Name: catalogName, Actions: []string{allActions}}
	case endpoint.Push:
		return Scope{Type: repository, Name: name.String(), Actions: []string{"pull", "push"}}
	case endpoint.Pull, endpoint.Delete:
		return Scope{Type: repository, Name: name.String(), Actions: []string{string(action)}}
	}
	return Scope{}
}

// Access is what a token is good for.
type Access []Scope

// Has tells whether an action is in it. What needs no right is in every one.
func (a Access) Has(name ref.Name, action endpoint.Action) bool {
	switch action {
	case endpoint.Ping:
		return true
	case endpoint.Catalog:
		return a.names(registry, catalogName, allActions)
	case endpoint.Pull, endpoint.Push, endpoint.Delete:
		return !name.IsZero() && a.names(repository, name.String(), string(action))
	}
	return false
}

func (a Access) names(kind, name, action string) bool {
	return slices.ContainsFunc(a, func(s Scope) bool {
		return s.Type == kind && s.Name == name && (slices.Contains(s.Actions, action) || slices.Contains(s.Actions, allActions))
	})
}
