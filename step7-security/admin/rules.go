package admin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"shibafu.dev/step7-security/internal/durable"
	"shibafu.dev/step7-security/policy"
)

// Rules changes the file of rules, and asks what is allowed.
type Rules struct {
	// File is where the rules stand; it need not exist.
	File string
	// Current are the rules in force.
	Current func() *policy.Policy
	// Reload has the file read again, and Fault says why what it holds is not in force;
	// nil if it is.
	Reload, Fault func() error
	// GroupsOf are the groups of a member; auth.Accounts knows them.
	GroupsOf func(name string) []string
}

// Text is a file of rules as it stands.
type Text struct {
	Text string `json:"text"`
	// Hash is the SHA-256 of the text, in hex; "" if there is no file.
	Hash    string `json:"hash"`
	InForce bool   `json:"inForce"`
	// Reason is why it is not in force.
	Reason string `json:"reason,omitempty"`
}

// Text is the file as it stands.
func (r *Rules) Text() (Text, error) {
	raw, hash, err := r.read()
	if err != nil {
		return Text{}, err
	}
	t := Text{Text: string(raw), Hash: hash, InForce: true}
	if err := r.Fault(); err != nil {
		t.InForce, t.Reason = false, err.Error()
	}
	return t, nil
}

// read returns nothing, and no error, if there is no file.
func (r *Rules) read() (raw []byte, hash string, err error) {
	raw, err = os.ReadFile(r.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(raw)
	return raw, hex.EncodeToString(sum[:]), nil
}

// CheckRules says what is wrong with a text of rules: a *policy.SyntaxError.
func CheckRules(text []byte) error {
	_, err := policy.Parse("policy", text)
	return err
}

// Replace puts a text in the place of the one whose hash was is, "" if there is none yet,
// and has it be in force. A text that cannot be changes nothing. Its errors are
// *policy.SyntaxError, ErrChanged and ErrNotInForce.
func (r *Rules) Replace(text []byte, was string) (Text, error) {
	if err := CheckRules(text); err != nil {
		return Text{}, err
	}
	if err := makeFolder(r.File); err != nil {
		return Text{}, err
	}
	unlock, err := durable.Lock(r.File + ".lock")
	if err != nil {
		return Text{}, err
	}
	defer unlock()
	old, hash, err := r.read()
	switch {
	case err != nil:
		return Text{}, err
	case hash != was:
		return Text{}, ErrChanged
	case hash == "" || !bytes.Equal(old, text):
		if err := durable.Write(r.File, text); err != nil {
			return Text{}, err
		}
	}
	if err := r.Reload(); err != nil {
		return Text{}, fmt.Errorf("%w: %w", ErrNotInForce, err)
	}
	return r.Text()
}

// Answer says whether something is allowed, and why.
type Answer struct {
	Allowed bool `json:"allowed"`
	// Rule is the one that decides; "" if none does, which is why it is denied.
	Rule string `json:"rule,omitempty"`
	// Rules are all that speak for or against it.
	Rules []RuleMatch `json:"rules"`
	// Explanation says the same to people, in lines.
	Explanation string `json:"explanation"`
}

// RuleMatch is a rule that has to do with what was asked.
type RuleMatch struct {
	Rule   string `json:"rule"`
	Where  string `json:"where"` // in the file
	Effect string `json:"effect"`
}

// Ask says what the rules in force, or those of the question, say to it. Its errors are
// ErrValue and *policy.SyntaxError.
func (r *Rules) Ask(q Question) (Answer, error) {
	a, err := q.parse()
	if err != nil {
		return Answer{}, err
	}
	rules := r.Current()
	if q.Text != "" {
		if rules, err = policy.Parse("policy", []byte(q.Text)); err != nil {
			return Answer{}, err
		}
	}
	if a.subject.member != "" {
		a.subject.groups = append(a.subject.groups, r.GroupsOf(a.subject.member)...)
	}
	e := rules.Explain(a.subject, a.name, a.action)
	answer := Answer{Allowed: e.Allowed, Rule: e.Rule, Rules: []RuleMatch{}, Explanation: e.String()}
	for _, m := range e.Matches {
		effect := map[bool]string{true: "deny", false: "allow"}[m.Deny]
		answer.Rules = append(answer.Rules, RuleMatch{m.Rule, m.Where, effect})
	}
	return answer, nil
}
