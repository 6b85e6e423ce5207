package policy

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step7-security/internal/strictjson"
)

// Quota bounds what some repositories hold together.
type Quota struct {
	Name string // "quota 2" if it has none
	// Bytes and Tags are the most there may be; math.MaxInt64 where it says nothing.
	Bytes, Tags  int64
	repositories []glob
	key          string
}

// Key is the same for quotas of the same repositories.
func (q *Quota) Key() string { return q.key }

// Has tells whether the quota counts that repository.
func (q *Quota) Has(name ref.Name) bool {
	for i := range q.repositories {
		if q.repositories[i].match(name.String()) {
			return true
		}
	}
	return false
}

// Quotas are those of the file, in its order.
func (p *Policy) Quotas() []Quota { return p.quotas }

// SyntaxError says what is wrong with a file, and where.
type SyntaxError struct {
	// Where is name:line:column, from 1, in bytes.
	Where  string
	Reason string
}

func (e *SyntaxError) Error() string { return e.Where + ": " + e.Reason }

// Parse reads a policy; name is what errors call it. They are a *SyntaxError.
func Parse(name string, raw []byte) (*Policy, error) {
	p, err := parse(name, raw)
	var fault *strictjson.Error
	if errors.As(err, &fault) {
		return nil, &SyntaxError{place(name, fault.Line, fault.Column), fault.Reason}
	}
	return p, err
}

func place(name string, line, column int) string { return fmt.Sprintf("%s:%d:%d", name, line, column) }

func parse(name string, raw []byte) (*Policy, error) {
	r, err := strictjson.NewReader(raw)
	if err != nil {
		return nil, err
	}
	b := &builder{Reader: r, file: name, names: map[string]bool{}, claims: map[string]int{},
		Policy: &Policy{named: map[identity][]int32{}, groups: map[string][]int32{}}}
	err = r.Object(map[string]func() error{
		"rules":  func() error { return r.Array(b.rule) },
		"quotas": func() error { return r.Array(b.quota) },
	})
	if err == nil {
		err = r.End()
	}
	return b.Policy, err
}

// builder is a Policy that is being read.
type builder struct {
	*strictjson.Reader
	*Policy
	file   string
	names  map[string]bool
	claims map[string]int // where a subject's text is in Policy.claims
}

func (b *builder) rule() error {
	start := b.Start()
	line, column := b.Place(start)
	r := rule{where: place(b.file, line, column), label: fmt.Sprint("rule ", len(b.rules)+1)}
	var subjects []string
	var allows, denies Action
	err := b.Object(map[string]func() error{
		"name":   func() error { return b.Text(b.name("rule", &r.label)) },
		"effect": func() error { return b.Text(func(s string) error { return parseEffect(s, &r.deny) }) },
		"subjects": func() error {
			return b.Array(func() error {
				return b.Text(func(s string) error { subjects = append(subjects, s); return checkSubject(s) })
			})
		},
		"repositories": func() error { return b.globs(&r.repositories, nil) },
		"actions": func() error {
			return b.Array(func() error { return b.Text(func(s string) error { return addAction(s, &allows, &denies) }) })
		},
	})
	if err != nil {
		return err
	}
	if r.rights = allows; r.deny {
		r.rights = denies
	}
	switch {
	case len(subjects) == 0 || len(r.repositories) == 0 || allows == 0:
		return b.Fault(start, "a rule has subjects, repositories and actions")
	case allows&Catalog != 0 && allows&Admin == 0 && !r.match(""):
		return b.Fault(start, `the catalog is not of one repository: want the repositories ["*"]`)
	}
	b.rules = append(b.rules, r)
	for _, s := range subjects {
		b.about(s, int32(len(b.rules)-1))
	}
	return nil
}

func (b *builder) quota() error {
	start := b.Start()
	q := Quota{Name: fmt.Sprint("quota ", len(b.quotas)+1), Bytes: math.MaxInt64, Tags: math.MaxInt64}
	var patterns []string
	err := b.Object(map[string]func() error{
		"name":         func() error { return b.Text(b.name("quota", &q.Name)) },
		"repositories": func() error { return b.globs(&q.repositories, &patterns) },
		"bytes":        func() error { return b.Text(func(s string) (err error) { q.Bytes, err = parseBytes(s); return }) },
		"tags":         func() error { return b.Number(func(n int64) error { q.Tags = n; return nil }) },
	})
	if err != nil {
		return err
	}
	if len(q.repositories) == 0 || q.Bytes == math.MaxInt64 && q.Tags == math.MaxInt64 {
		return b.Fault(start, "a quota has repositories, and bytes or tags")
	}
	slices.Sort(patterns)
	q.key = strings.Join(slices.Compact(patterns), " ")
	b.quotas = append(b.quotas, q)
	return nil
}

// name takes the name of a rule or quota, each of which there is once.
func (b *builder) name(what string, to *string) func(s string) error {
	return func(s string) error {
		switch {
		case s == "" || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }):
			return errors.New("a name is not empty, and in one line")
		case b.names[what+" "+s]:
			return fmt.Errorf("there is a %s of that name already", what)
		}
		b.names[what+" "+s] = true
		*to = s
		return nil
	}
}

// globs reads patterns, and appends their texts too where those are wanted.
func (b *builder) globs(to *[]glob, texts *[]string) error {
	return b.Array(func() error {
		return b.Text(func(s string) error {
			g, err := parseGlob(s)
			if *to = append(*to, g); texts != nil {
				*texts = append(*texts, s)
			}
			return err
		})
	})
}

func parseEffect(s string, deny *bool) error {
	if s != "allow" && s != "deny" {
		return errors.New("want allow or deny")
	}
	*deny = s == "deny"
	return nil
}

func addAction(s string, allows, denies *Action) error {
	parsed, err := ParseAction(s)
	if err != nil {
		return err
	}
	for _, a := range actions {
		if a.action == parsed {
			*allows |= a.allows
			*denies |= a.denies
		}
	}
	return nil
}

// checkSubject holds a subject to its grammar.
func checkSubject(s string) error {
	kind, name, named := strings.Cut(s, ":")
	switch {
	case !named && (kind == "anonymous" || kind == "authenticated"):
		return nil
	case !named:
	case kind == "claim":
		if key, _, ok := strings.Cut(name, "="); !ok || key == "" {
			return errors.New("want claim:KEY=GLOB")
		}
		return nil
	case kind == "group" || kind == string(User) || kind == string(Robot) || kind == string(OIDC) || kind == string(Certificate):
		if name == "" {
			return errors.New("a name follows the colon")
		}
		return nil
	}
	return fmt.Errorf("%q is no subject: want anonymous, authenticated, or user:, group:, robot:, oidc:, certificate: or claim: and what follows", s)
}

// about notes that rule i is about the subject.
func (b *builder) about(s string, i int32) {
	kind, name, _ := strings.Cut(s, ":")
	switch kind {
	case "anonymous":
		b.anonymous = append(b.anonymous, i)
	case "authenticated":
		b.authenticated = append(b.authenticated, i)
	case "group":
		b.groups[name] = append(b.groups[name], i)
	case "claim":
		at, known := b.claims[name]
		if !known {
			key, value, _ := strings.Cut(name, "=")
			at = len(b.Policy.claims)
			b.claims[name] = at
			b.Policy.claims = append(b.Policy.claims, claim{key: key, value: parseWild(value)})
		}
		c := &b.Policy.claims[at]
		c.rules = append(c.rules, i)
	default:
		id := identity{Kind(kind), name}
		b.named[id] = append(b.named[id], i)
	}
}

// parseBytes reads "10GiB": a whole number and a unit, B to TiB.
func parseBytes(s string) (int64, error) {
	digits := strings.TrimRight(s, "BKMGTi")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || digits != strconv.FormatInt(n, 10) || n < 0 {
		return 0, errors.New(`want a size like "10GiB"`)
	}
	for i, unit := range []string{"B", "KiB", "MiB", "GiB", "TiB"} {
		if s[len(digits):] == unit && n <= math.MaxInt64>>(10*i) {
			return n << (10 * i), nil
		}
	}
	return 0, errors.New("want B, KiB, MiB, GiB or TiB behind the number, and no more than there can be")
}
