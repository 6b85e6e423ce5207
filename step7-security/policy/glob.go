package policy

import (
	"errors"
	"strings"

	"shibafu.dev/step1-spec-notes/ref"
)

// wild is a text in which * stood for any text: what lies between the stars.
type wild []string

func parseWild(s string) wild { return strings.Split(s, "*") }

// match takes time linear in s: what is between stars is found where it comes
// first, which leaves the most for the rest.
func (w wild) match(s string) bool {
	first, last := w[0], w[len(w)-1]
	if len(w) == 1 {
		return s == first
	}
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, text := range w[1 : len(w)-1] {
		i := strings.Index(s, text)
		if i < 0 {
			return false
		}
		s = s[i+len(text):]
	}
	return true
}

// glob is a pattern of repository names.
type glob struct {
	all    bool // every name, and the registry
	prefix string
	exact  bool // prefix is the one name
	rest   bool // whatever is longer than prefix
	head   []wild
	deep   bool // parts lie between head and tail
	tail   []wild
}

var (
	errGlobEmpty = errors.New("a pattern has parts, joined by /, that are not empty")
	errGlobLong  = errors.New("a pattern is no longer than a name")
	errGlobDeep  = errors.New("** is a whole part, and there once")
	errGlobText  = errors.New("a pattern is of lower case letters, digits, ., _, -, / and *")
	errGlobName  = errors.New("no repository can have this name")
)

func parseGlob(s string) (glob, error) {
	if s == "*" || s == "**" {
		return glob{all: true}, nil
	}
	if len(s) > ref.MaxNameLen {
		return glob{}, errGlobLong
	}
	var g glob
	for part := range strings.SplitSeq(s, "/") {
		switch {
		case part == "":
			return glob{}, errGlobEmpty
		case strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789._-*") != "":
			return glob{}, errGlobText
		case part == "**" && !g.deep:
			g.deep = true
		case strings.Contains(part, "**"):
			return glob{}, errGlobDeep
		case g.deep:
			g.tail = append(g.tail, parseWild(part))
		default:
			g.head = append(g.head, parseWild(part))
		}
	}
	g.prefix, _, _ = strings.Cut(s, "*")
	g.exact = g.prefix == s
	g.rest = g.prefix+"**" == s
	if _, err := ref.ParseName(s); g.exact && err != nil {
		return glob{}, errGlobName
	}
	return g, nil
}

// match tells whether the pattern has the name; "" is the registry.
func (g *glob) match(name string) bool {
	switch {
	case g.all:
		return true
	case !strings.HasPrefix(name, g.prefix):
		return false
	case g.exact:
		return len(name) == len(g.prefix)
	case g.rest:
		return len(name) > len(g.prefix)
	}
	rest, more := name, true
	for _, part := range g.head {
		var component string
		if !more {
			return false
		}
		if component, rest, more = strings.Cut(rest, "/"); !part.match(component) {
			return false
		}
	}
	if !g.deep {
		return !more
	}
	return more && g.matchTail(rest)
}

// matchTail wants at least one part more than there are in the tail.
func (g *glob) matchTail(rest string) bool {
	for i := len(g.tail) - 1; i >= 0; i-- {
		slash := strings.LastIndexByte(rest, '/')
		if slash < 0 || !g.tail[i].match(rest[slash+1:]) {
			return false
		}
		rest = rest[:slash]
	}
	return true
}

// span is the range of names, in byte order, in which those of a pattern lie: not
// before from, and before to.
type span struct{ from, to string }

func (g *glob) span() span {
	switch {
	case g.exact:
		return span{g.prefix, g.prefix + "\x00"}
	case g.prefix == "":
		return span{"", "\xff"}
	}
	last := len(g.prefix) - 1
	return span{g.prefix, g.prefix[:last] + string(rune(g.prefix[last]+1))}
}
