package admin

import (
	"fmt"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/policy"
)

// Question is whether somebody may do something.
type Question struct {
	// Subject is "anonymous", "authenticated" for somebody in particular who has no
	// name here, or as in a rule: "user:alice", "robot:ci", "oidc:…", "certificate:…".
	Subject string `json:"subject"`
	// Groups and Claims are those that the subject has besides the groups that are known
	// here.
	Groups []string            `json:"groups,omitempty"`
	Claims map[string][]string `json:"claims,omitempty"`
	// Repository is "" for the registry itself: for catalog, and for admin.
	Repository string `json:"repository,omitempty"`
	Action     string `json:"action"`
	// Text are rules to ask in the place of those in force.
	Text string `json:"text,omitempty"`
}

// asked is a Question that has been read.
type asked struct {
	subject asker
	name    ref.Name
	action  policy.Action
}

// asker is a subject that is made up.
type asker struct {
	kind   policy.Kind
	name   string
	member string // as a member of groups; "" if it has no name
	groups []string
	claims map[string][]string
}

func (a asker) Kind() policy.Kind         { return a.kind }
func (a asker) Name() string              { return a.name }
func (a asker) Groups() []string          { return a.groups }
func (a asker) Claim(key string) []string { return a.claims[key] }

// parse reads a question. ErrValue.
func (q Question) parse() (a asked, err error) {
	if a.action, err = policy.ParseAction(q.Action); err != nil {
		return asked{}, fmt.Errorf("%w: %w", ErrValue, err)
	}
	if a.subject, err = parseSubject(q.Subject); err != nil {
		return asked{}, err
	}
	a.subject.groups, a.subject.claims = slices.Clone(q.Groups), q.Claims
	if a.subject.kind == policy.Anonymous && (len(q.Groups) > 0 || len(q.Claims) > 0) {
		return asked{}, fmt.Errorf("%w: who is anonymous has no groups and no claims", ErrValue)
	}
	switch {
	case q.Repository == "" && a.action != policy.Catalog && a.action != policy.Admin:
		return asked{}, fmt.Errorf("%w: %s is of a repository: want its name", ErrValue, q.Action)
	case q.Repository == "":
		return a, nil
	case a.action == policy.Catalog:
		return asked{}, fmt.Errorf("%w: the catalog is not of one repository", ErrValue)
	}
	if a.name, err = ref.ParseName(q.Repository); err != nil {
		return asked{}, fmt.Errorf("%w: the repository: %w", ErrValue, err)
	}
	return a, nil
}

func parseSubject(text string) (asker, error) {
	kind, name, named := strings.Cut(text, ":")
	switch {
	case text == "anonymous":
		return asker{kind: policy.Anonymous}, nil
	case text == "authenticated":
		return asker{kind: policy.User}, nil
	case named && name != "":
		for known, prefix := range map[policy.Kind]string{
			policy.User: "", policy.Robot: auth.RobotPrefix, policy.OIDC: auth.OIDCPrefix, policy.Certificate: auth.CertificatePrefix,
		} {
			if kind == string(known) {
				return asker{kind: known, name: name, member: prefix + name}, nil
			}
		}
	}
	return asker{}, fmt.Errorf("%w: the subject: want anonymous, authenticated, or user:, robot:, oidc: or certificate: and a name", ErrValue)
}
