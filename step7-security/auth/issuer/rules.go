package issuer

import (
	"encoding/json"
	"strings"
)

// maxName is the longest name that claims may make, in bytes.
const maxName = 400

// match makes a name and groups of claims; ok is false if no rule fits.
func (i Issuer) match(claims map[string][]string) (name string, groups []string, ok bool) {
	if len(i.Rules) == 0 { // its tokens say themselves what they are good for
		name, _ = expand("", claims, false)
		return name, nil, isName(name)
	}
	for _, r := range i.Rules {
		if !r.fits(claims) {
			continue
		}
		if !ok {
			if name, ok = expand(r.Name, claims, false); !ok || !isName(name) {
				return "", nil, false
			}
		}
		groups = append(groups, r.Groups...)
	}
	return name, groups, ok
}

// isName keeps out what could be taken for something else in a log or a list.
func isName(name string) bool {
	return name != "" && len(name) <= maxName && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

func (r Rule) fits(claims map[string][]string) bool {
	for claim, patterns := range r.When {
		if !anyFits(patterns, claims[claim]) {
			return false
		}
	}
	return true
}

func anyFits(patterns, values []string) bool {
	for _, p := range patterns {
		for _, v := range values {
			if glob(p, v) {
				return true
			}
		}
	}
	return false
}

// glob tells whether text fits a pattern in which "*" stands for any letters, "/" too. It
// takes time in proportion to the lengths: the first place where a part fits will do.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	last := parts[len(parts)-1]
	for _, p := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(rest, p)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, last)
}

// flatten makes texts of claims, by paths with dots. What is neither a text, a number, a
// truth value, a list of such nor an object of all these is left out, as is a path that
// two claims would have.
func flatten(claims map[string]json.RawMessage) map[string][]string {
	f := flattener{map[string][]string{}, map[string]bool{}}
	for name, raw := range claims {
		f.add(name, raw)
	}
	for path := range f.twice {
		delete(f.all, path)
	}
	return f.all
}

type flattener struct {
	all   map[string][]string
	twice map[string]bool
}

func (f *flattener) add(path string, raw json.RawMessage) {
	var object map[string]json.RawMessage
	if raw[0] == '{' && json.Unmarshal(raw, &object) == nil {
		for name, inner := range object {
			f.add(path+"."+name, inner)
		}
		return
	}
	if _, there := f.all[path]; there {
		f.twice[path] = true
	}
	var list []json.RawMessage
	if raw[0] != '[' {
		list = []json.RawMessage{raw}
	} else if json.Unmarshal(raw, &list) != nil {
		return
	}
	texts := []string{}
	for _, e := range list {
		if text, ok := scalar(e); ok {
			texts = append(texts, text)
		}
	}
	f.all[path] = texts
}

// scalar is a text as it is, and a number or a truth value as JSON writes it.
func scalar(raw json.RawMessage) (text string, ok bool) {
	switch raw[0] {
	case '"':
		ok = json.Unmarshal(raw, &text) == nil
		return text, ok
	case '{', '[', 'n':
		return "", false
	}
	return string(raw), true
}
