package adminhttp

import (
	"errors"
	"net/http"
	"strings"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step7-security/admin"
	"shibafu.dev/step7-security/policy"
)

// RulesText is what is sent to check a text of rules.
type RulesText struct {
	Text string `json:"text"`
}

// Verdict says whether a text can be rules.
type Verdict struct {
	Valid bool `json:"valid"`
	// Error says what is wrong, and where.
	Error string `json:"error,omitempty"`
}

func (a *api) showRules(c *call) (any, error) {
	text, err := a.Rules.Text()
	if err == nil && text.Hash != "" {
		c.w.Header().Set("ETag", `"`+text.Hash+`"`)
	}
	return text, err
}

// replaceRules takes the rules themselves as the body. Which ones they replace is to be
// said, so that nobody's change is lost: If-Match with the ETag of those, or
// If-None-Match: * where there are none.
func (a *api) replaceRules(c *call) (any, error) {
	was, err := condition(c.r)
	if err != nil {
		return nil, err
	}
	raw, err := c.body()
	if err != nil {
		return nil, err
	}
	text, err := a.Rules.Replace(raw, was)
	if err == nil {
		c.w.Header().Set("ETag", `"`+text.Hash+`"`)
	}
	return text, err
}

// condition is the hash that the rules must have; "" if there must be none.
//
// Source: RFC 9110, section 13.1; RFC 6585, section 3.
func condition(r *http.Request) (hash string, err error) {
	match, none := r.Header.Values("If-Match"), r.Header.Values("If-None-Match")
	switch {
	case len(match) == 0 && len(none) == 0:
		return "", &ocierr.Error{Code: codeCondition, Status: http.StatusPreconditionRequired, Message: "want If-Match with the ETag of the policy that is replaced, or If-None-Match: * if there is none"}
	case len(match) == 0 && len(none) == 1 && none[0] == "*":
		return "", nil
	case len(match) == 1 && len(none) == 0:
		tag, begins := strings.CutPrefix(match[0], `"`)
		tag, ends := strings.CutSuffix(tag, `"`)
		if begins && ends && tag != "" && !strings.Contains(tag, `"`) {
			return tag, nil
		}
	}
	return "", &ocierr.Error{Code: codeInvalid, Status: http.StatusBadRequest, Message: "want one ETag in If-Match, or If-None-Match: *"}
}

func (a *api) checkRules(c *call) (any, error) {
	var t RulesText
	if err := c.read(&t); err != nil {
		return nil, err
	}
	err := admin.CheckRules([]byte(t.Text))
	if wrong := new(*policy.SyntaxError); errors.As(err, wrong) {
		return Verdict{Error: err.Error()}, nil
	}
	return Verdict{Valid: true}, err
}

func (a *api) testRules(c *call) (any, error) {
	var q admin.Question
	if err := c.read(&q); err != nil {
		return nil, err
	}
	return a.Rules.Ask(q)
}
