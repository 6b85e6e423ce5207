package policy_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step7-security/policy"
)

// who is a Subject.
type who struct {
	kind   policy.Kind
	name   string
	groups []string
	claims map[string][]string
}

func (w *who) Kind() policy.Kind         { return w.kind }
func (w *who) Name() string              { return w.name }
func (w *who) Groups() []string          { return w.groups }
func (w *who) Claim(key string) []string { return w.claims[key] }
func user(name string, g ...string) *who { return &who{kind: policy.User, name: name, groups: g} }
func claims(key string, v ...string) *who {
	return &who{kind: policy.OIDC, claims: map[string][]string{key: v}}
}

func parse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("p.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const example = `{"rules": [
	{"name": "public", "subjects": ["anonymous", "authenticated"], "repositories": ["base/**"], "actions": ["pull"]},
	{"name": "team", "subjects": ["group:team", "robot:ci"], "repositories": ["team/**"], "actions": ["pull", "push"]},
	{"name": "ann", "subjects": ["user:ann"], "repositories": ["team/**"], "actions": ["pull", "create-only", "delete"]},
	{"name": "secret", "effect": "deny", "subjects": ["authenticated"], "repositories": ["team/secret"], "actions": ["pull"]},
	{"name": "frozen", "effect": "deny", "subjects": ["group:team"], "repositories": ["team/old/**"], "actions": ["create-only"]},
	{"name": "ops", "subjects": ["group:ops"], "repositories": ["*"], "actions": ["admin"]},
	{"name": "fired", "effect": "deny", "subjects": ["user:eve"], "repositories": ["*"], "actions": ["admin"]},
	{"name": "list", "subjects": ["authenticated"], "repositories": ["*"], "actions": ["catalog"]},
	{"name": "actions", "subjects": ["claim:sub=repo:org/*:ref:*"], "repositories": ["org/*"], "actions": ["push"]},
	{"subjects": ["certificate:node"], "repositories": ["team/*-dev"], "actions": ["pull"]}
]}`

func TestDecide(t *testing.T) {
	p := parse(t, example)
	ci, node := &who{kind: policy.Robot, name: "ci"}, &who{kind: policy.Certificate, name: "node"}
	tests := []struct {
		name    string
		subject policy.Subject
		repo    string
		action  policy.Action
		allowed bool
		rule    string
		reason  string
	}{
		{"public to nobody", nil, "base/a", policy.Pull, true, "public", ""},
		{"public to anonymous", &who{}, "base/a", policy.Pull, true, "public", "who has no kind is not known"},
		{"public to nobody, by name", &who{kind: policy.Anonymous}, "base/a", policy.Pull, true, "public", ""},
		{"no kind, but a name and groups", &who{name: "ann", groups: []string{"team"}}, "team/a", policy.Pull, false, "", "who has no kind is not known"},
		{"nothing else to nobody", nil, "team/a", policy.Pull, false, "", "default deny"},
		{"not to push", nil, "base/a", policy.Push, false, "", ""},
		{"group", user("bob", "x", "team"), "team/a", policy.Push, true, "team", ""},
		{"push implies create-only", user("bob", "team"), "team/a", policy.CreateOnly, true, "team", ""},
		{"push implies no delete", user("bob", "team"), "team/a", policy.Delete, false, "", ""},
		{"push implies no pull", claims("sub", "repo:org/a:ref:x"), "org/a", policy.Pull, false, "", ""},
		{"not in the group", user("bob"), "team/a", policy.Pull, false, "", ""},
		{"robot", ci, "team/a", policy.Push, true, "team", ""},
		{"a user called as the robot", user("ci"), "team/a", policy.Push, false, "", ""},
		{"a user called as a group", user("team"), "team/a", policy.Push, false, "", ""},
		{"create-only", user("ann"), "team/a", policy.CreateOnly, true, "ann", ""},
		{"create-only is no push", user("ann"), "team/a", policy.Push, false, "", ""},
		{"the first rule", user("ann", "team"), "team/a", policy.Pull, true, "team", ""},
		{"deny wins", user("ann", "team"), "team/secret", policy.Pull, false, "secret", ""},
		{"deny of one right", user("ann", "team"), "team/secret", policy.Push, true, "team", ""},
		{"deny of create-only takes push", user("bob", "team"), "team/old/a", policy.Push, false, "frozen", ""},
		{"admin has all", user("root", "ops"), "x", policy.Delete, true, "ops", ""},
		{"but what is denied", user("root", "ops"), "team/secret", policy.Pull, false, "secret", ""},
		{"deny of admin takes all", user("eve", "ops", "team"), "team/a", policy.Pull, false, "fired", ""},
		{"catalog", user("bob"), "", policy.Catalog, true, "list", ""},
		{"catalog to nobody", nil, "", policy.Catalog, false, "", ""},
		{"admin of the registry", user("root", "ops"), "", policy.Admin, true, "ops", ""},
		{"no admin of the registry", user("ann"), "", policy.Admin, false, "", ""},
		{"claim", claims("sub", "other", "repo:org/a:ref:refs/heads/main"), "org/a", policy.Push, true, "actions", ""},
		{"another claim", claims("aud", "repo:org/a:ref:x"), "org/a", policy.Push, false, "", ""},
		{"another value", claims("sub", "repo:evil/a:ref:x"), "org/a", policy.Push, false, "", ""},
		{"rule without a name", node, "team/a-dev", policy.Pull, true, "rule 10", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var name ref.Name
			if tt.repo != "" {
				name = ref.MustName(tt.repo)
			}
			got := p.Decide(tt.subject, name, tt.action)
			if got != (policy.Decision{Allowed: tt.allowed, Rule: tt.rule}) {
				t.Errorf("%+v (%s)", got, tt.reason)
			}
		})
	}
}

// Whoever the rules are about, the first in the file is the one that is named.
func TestFirstRuleIsNamed(t *testing.T) {
	rule := func(name, effect, subject string) string {
		return fmt.Sprintf(`{"name": %q, "effect": %q, "subjects": [%q], "repositories": ["a"], "actions": ["pull"]}`, name, effect, subject)
	}
	subjects := []string{"authenticated", "user:ann", "group:g", "claim:k=v"}
	ann := &who{policy.User, "ann", []string{"g"}, map[string][]string{"k": {"v"}}}
	for _, effect := range []string{"allow", "deny"} {
		for i, first := range subjects {
			for _, second := range slices.Concat(subjects[i+1:], subjects[:i]) {
				p := parse(t, `{"rules": [`+rule("first", effect, first)+","+rule("second", effect, second)+`]}`)
				if got := p.Decide(ann, ref.MustName("a"), policy.Pull); got.Rule != "first" {
					t.Errorf("%s of %s before %s: by %s", effect, first, second, got.Rule)
				}
			}
		}
	}
}

func TestAllows(t *testing.T) {
	p := parse(t, example)
	tests := []struct {
		name, repo string
		action     endpoint.Action
		want       bool
	}{
		{"ping", "", endpoint.Ping, true},
		{"pull", "team/a", endpoint.Pull, true},
		{"push, of which only creating is allowed", "team/a", endpoint.Push, true},
		{"delete", "team/a", endpoint.Delete, true},
		{"elsewhere", "x", endpoint.Pull, false},
		{"denied", "team/secret", endpoint.Pull, false},
		{"the catalog", "", endpoint.Catalog, true},
		{"the catalog of a repository", "team/a", endpoint.Catalog, false},
		{"pull of the registry", "", endpoint.Pull, false},
		{"what is no right", "team/a", "*", false},
		{"a right that the protocol has not", "team/a", "create-only", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var name ref.Name
			if tt.repo != "" {
				name = ref.MustName(tt.repo)
			}
			if got := p.Allows(user("ann"), name, tt.action); got != tt.want {
				t.Errorf("Allows = %v", got)
			}
		})
	}
}

// Places are right far down in a file too.
func TestPlaceInLargeFile(t *testing.T) {
	p := thousand(t, 5_000)
	e := p.Explain(user("u4999"), ref.MustName("team-4999/a"), policy.Pull)
	if want := "p.json:5000:1"; len(e.Matches) != 1 || e.Matches[0].Where != want {
		t.Errorf("%+v, want %s", e, want)
	}
}

func TestExplain(t *testing.T) {
	p := parse(t, example)
	tests := []struct {
		name    string
		subject policy.Subject
		action  policy.Action
		want    string
	}{
		{"no rule", user("bob"), policy.Delete, "no: no rule allows it\n"},
		{"allowed", user("ann", "team"), policy.Push, "yes: team allows it\n  p.json:3:2: team allows it\n"},
		{"denied", user("ann", "team"), policy.Pull, "no: secret denies it\n" +
			"  p.json:3:2: team allows it\n  p.json:4:2: ann allows it\n  p.json:5:2: secret denies it\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := p.Explain(tt.subject, ref.MustName("team/secret"), tt.action).String(); got != tt.want {
				t.Errorf("got:\n%swant:\n%s", got, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	rule := func(s string) string { return "{\"rules\": [\n" + s + "]}" }
	const rest = `"repositories": ["a"], "actions": ["pull"]`
	tests := []struct{ name, text, want string }{
		{"empty", "", "p:1:1: the document ends early"},
		{"no object", "[]", "p:1:1: want an object"},
		{"cut", `{"rules": [`, "p:1:12: the document ends early"},
		{"more", `{} {}`, "p:1:4: something follows the end"},
		{"a comma more", `{},`, "p:1:3: something follows the end"},
		{"unknown field", `{"rule": []}`, `p:1:2: there is no field "rule"`},
		{"twice", `{"rules": [], "rules": []}`, `p:1:15: "rules" is there twice`},
		{"in another case", `{"Rules": []}`, `p:1:2: there is no field "Rules"`},
		{"not UTF-8", "{\"rules\xff\": []}", "p:1:8: not UTF-8"},
		{"null", rule(`null`), "p:2:1: want an object"},
		{"empty rule", rule(`{}`), "p:2:1: a rule has subjects, repositories and actions"},
		{"no subject", rule(`{"subjects": [], ` + rest + `}`), "p:2:1: a rule has subjects, repositories and actions"},
		{"bad subject", rule(`{"subjects": ["everyone"], ` + rest + `}`), `p:2:15: "everyone" is no subject: want anonymous, authenticated, or user:, group:, robot:, oidc:, certificate: or claim: and what follows`},
		{"subject without a name", rule(`{"subjects": ["user:"], ` + rest + `}`), "p:2:15: a name follows the colon"},
		{"claim without a value", rule(`{"subjects": ["claim:sub"], ` + rest + `}`), "p:2:15: want claim:KEY=GLOB"},
		{"bad glob", rule(`{"subjects": ["user:a"], "repositories": ["a", "A"], "actions": ["pull"]}`), "p:2:48: a pattern is of lower case letters, digits, ., _, -, / and *"},
		{"bad action", rule(`{"subjects": ["user:a"], "repositories": ["a"], "actions": ["Pull"]}`), `p:2:61: "Pull" is no action: want pull, create-only, push, delete, catalog or admin`},
		{"bad effect", rule(`{"effect": "Deny", "subjects": ["user:a"], ` + rest + `}`), "p:2:12: want allow or deny"},
		{"text for a list", rule(`{"subjects": "user:a"}`), "p:2:14: want an array"},
		{"number for a text", rule(`{"name": 1}`), "p:2:10: want a string"},
		{"name twice", rule(`{"name": "x", "subjects": ["user:a"], ` + rest + `}, {"name": "x"}`), "p:2:93: there is a rule of that name already"},
		{"catalog of one repository", rule(`{"subjects": ["user:a"], "repositories": ["a"], "actions": ["catalog"]}`), `p:2:1: the catalog is not of one repository: want the repositories ["*"]`},
		{"quota of nothing", `{"quotas": [{"repositories": ["a"]}]}`, "p:1:13: a quota has repositories, and bytes or tags"},
		{"quota in fractions", `{"quotas": [{"repositories": ["a"], "tags": 1.5}]}`, "p:1:45: want a whole number that is not negative"},
		{"quota without a unit", `{"quotas": [{"bytes": "10"}]}`, "p:1:23: want B, KiB, MiB, GiB or TiB behind the number, and no more than there can be"},
		{"quota too large", `{"quotas": [{"bytes": "9999999TiB"}]}`, "p:1:23: want B, KiB, MiB, GiB or TiB behind the number, and no more than there can be"},
		{"quota in words", `{"quotas": [{"bytes": "+1GiB"}]}`, `p:1:23: want a size like "10GiB"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := policy.Parse("p", []byte(tt.text)); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add(`{"quotas": [{"name": "q", "repositories": ["a/**"], "bytes": "1GiB", "tags": 3}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := policy.Parse("p", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "p:") {
				t.Errorf("an error without a place: %v", err)
			}
			return
		}
		if !json.Valid([]byte(text)) {
			t.Errorf("%q is not JSON", text)
		}
		p.Decide(user("ann", "team"), ref.MustName("team/a"), policy.Pull)
	})
}

// thousand has n rules of which all are about one group.
func thousand(t testing.TB, n int) *policy.Policy {
	var rules []string
	for i := range n {
		rules = append(rules, fmt.Sprintf(`{"subjects": ["group:all", "user:u%d"], "repositories": ["team-%d/**", "shared/*-%d/app"], "actions": ["pull", "push"]}`, i, i, i))
	}
	return parse(t, `{"rules": [`+strings.Join(rules, ",\n")+`]}`)
}

func TestDecideAllocatesNothing(t *testing.T) {
	p := thousand(t, 1000)
	var s policy.Subject = user("u7", "all")
	name := ref.MustName("team-999/app")
	if n := testing.AllocsPerRun(100, func() { p.Decide(s, name, policy.Push) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecide(b *testing.B) {
	p := thousand(b, 1000)
	for _, bb := range []struct {
		name    string
		subject policy.Subject
	}{{"one of a thousand", user("u999")}, {"a thousand for one", user("x", "all")}} {
		name := ref.MustName("team-999/app")
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Decide(bb.subject, name, policy.Push)
			}
		})
	}
}
