package policy

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
)

// Kind is how somebody is known.
type Kind string

const (
	Anonymous   Kind = "anonymous"
	User        Kind = "user"
	Robot       Kind = "robot"
	OIDC        Kind = "oidc"
	Certificate Kind = "certificate"
)

// Subject is who wants something. nil is Anonymous, and so is one without a Kind.
type Subject interface {
	Kind() Kind
	// Name is as it stands in a rule, "ci" for robot:ci.
	Name() string
	// Groups and Claim return what the caller does not change. Claim returns all
	// values of a claim, none if there is no such claim.
	Groups() []string
	Claim(key string) []string
}

// Action is a right.
type Action uint8

const (
	Pull Action = 1 << iota
	CreateOnly
	Push
	Delete
	Catalog
	Admin
)

var actions = []struct {
	action Action
	name   string
	// allows and denies are all that a rule with this action allows, or denies.
	allows, denies Action
}{
	{Pull, "pull", Pull, Pull},
	{CreateOnly, "create-only", CreateOnly, CreateOnly | Push},
	{Push, "push", CreateOnly | Push, CreateOnly | Push},
	{Delete, "delete", Delete, Delete},
	{Catalog, "catalog", Catalog, Catalog},
	{Admin, "admin", math.MaxUint8, math.MaxUint8},
}

// ParseAction reads an action's name: "create-only".
func ParseAction(s string) (Action, error) {
	for _, a := range actions {
		if a.name == s {
			return a.action, nil
		}
	}
	return 0, fmt.Errorf("%q is no action: want pull, create-only, push, delete, catalog or admin", s)
}

// String is what ParseAction reads.
func (a Action) String() string {
	for _, known := range actions {
		if known.action == a {
			return known.name
		}
	}
	return "none"
}

// Policy decides. It does not change, and can be used by many goroutines.
type Policy struct {
	rules  []rule
	quotas []Quota
	// The rest are the numbers of rules, in order, by whom they are about.
	anonymous, authenticated []int32
	named                    map[identity][]int32
	groups                   map[string][]int32
	claims                   []claim
}

type identity struct {
	kind Kind
	name string
}

type claim struct {
	key   string
	value wild
	rules []int32
}

type rule struct {
	label        string // its name, else its number
	where        string // its place in the file
	deny         bool
	rights       Action
	repositories []glob
}

func (r *rule) match(name string) bool {
	for i := range r.repositories {
		if r.repositories[i].match(name) {
			return true
		}
	}
	return false
}

// Decision says whether something is allowed.
type Decision struct {
	Allowed bool
	// Rule is the name of the first rule that says so ("rule 3" if it has none); ""
	// where none does, which is why it is denied.
	Rule string
}

// Decide tells whether s may do that to the repository, or, if name is zero, to the
// registry. It allocates nothing.
func (p *Policy) Decide(s Subject, name ref.Name, a Action) Decision {
	v := verdict{p: p, name: name.String(), action: a, allow: none, deny: none}
	p.each(s, v.hear)
	switch {
	case v.deny != none:
		return Decision{false, p.rules[v.deny].label}
	case v.allow != none:
		return Decision{true, p.rules[v.allow].label}
	}
	return Decision{}
}

// Allows tells whether s may have a right of the token protocol, which knows one kind
// of push: who may only create has it too, as what a push may do is decided again when
// it comes. name is zero for endpoint.Catalog. What is no right is not allowed.
func (p *Policy) Allows(s Subject, name ref.Name, action endpoint.Action) bool {
	switch {
	case action == endpoint.Ping:
		return true
	case name.IsZero() != (action == endpoint.Catalog):
		return false
	case action == endpoint.Catalog:
		return p.Decide(s, name, Catalog).Allowed
	case action == endpoint.Pull:
		return p.Decide(s, name, Pull).Allowed
	case action == endpoint.Push:
		return p.Decide(s, name, CreateOnly).Allowed
	case action == endpoint.Delete:
		return p.Decide(s, name, Delete).Allowed
	}
	return false
}

const none = math.MaxInt32

// verdict is the first rule that denies, and the first that allows.
type verdict struct {
	p           *Policy
	name        string
	action      Action
	allow, deny int32
}

// hear looks at rules in order, and at none that could not change the verdict.
func (v *verdict) hear(rules []int32) {
	for _, i := range rules {
		r := &v.p.rules[i]
		if i >= v.deny || r.rights&v.action == 0 || !r.deny && i >= v.allow || !r.match(v.name) {
			continue
		}
		if r.deny {
			v.deny = i
		} else {
			v.allow = i
		}
	}
}

// each passes on the rules that are about s, list by list; one may come twice.
func (p *Policy) each(s Subject, hear func(rules []int32)) {
	if s == nil || s.Kind() == Anonymous || s.Kind() == "" {
		hear(p.anonymous)
		return
	}
	hear(p.authenticated)
	hear(p.named[identity{s.Kind(), s.Name()}])
	if len(p.groups) > 0 {
		for _, group := range s.Groups() {
			hear(p.groups[group])
		}
	}
	for i := range p.claims {
		c := &p.claims[i]
		if slices.ContainsFunc(s.Claim(c.key), c.value.match) {
			hear(c.rules)
		}
	}
}

// Match is a rule that has to do with what was asked.
type Match struct {
	Rule, Where string
	Deny        bool
}

// Explanation is a Decision, and all rules that speak for or against it.
type Explanation struct {
	Decision
	Matches []Match
}

// Explain is Decide for people.
func (p *Policy) Explain(s Subject, name ref.Name, a Action) Explanation {
	e := Explanation{Decision: p.Decide(s, name, a)}
	var found []int32
	p.each(s, func(rules []int32) {
		for _, i := range rules {
			if r := &p.rules[i]; r.rights&a != 0 && r.match(name.String()) {
				found = append(found, i)
			}
		}
	})
	slices.Sort(found)
	for _, i := range slices.Compact(found) {
		r := &p.rules[i]
		e.Matches = append(e.Matches, Match{r.label, r.where, r.deny})
	}
	return e
}

// String has one line for the decision and one for each rule.
func (e Explanation) String() string {
	var b strings.Builder
	switch {
	case e.Allowed:
		fmt.Fprintf(&b, "yes: %s allows it\n", e.Rule)
	case e.Rule != "":
		fmt.Fprintf(&b, "no: %s denies it\n", e.Rule)
	default:
		b.WriteString("no: no rule allows it\n")
	}
	for _, m := range e.Matches {
		effect := "allows"
		if m.Deny {
			effect = "denies"
		}
		fmt.Fprintf(&b, "  %s: %s %s it\n", m.Where, m.Rule, effect)
	}
	return b.String()
}

// spans are the ranges of names in which s may have the right somewhere, in order
// and apart.
func (p *Policy) spans(s Subject, a Action) []span {
	var all []span
	p.each(s, func(rules []int32) {
		for _, i := range rules {
			if r := &p.rules[i]; !r.deny && r.rights&a != 0 {
				for j := range r.repositories {
					all = append(all, r.repositories[j].span())
				}
			}
		}
	})
	slices.SortFunc(all, func(a, b span) int { return strings.Compare(a.from, b.from) })
	apart := all[:0]
	for _, next := range all {
		if last := len(apart) - 1; last >= 0 && next.from <= apart[last].to {
			apart[last].to = max(apart[last].to, next.to)
			continue
		}
		apart = append(apart, next)
	}
	return apart
}
