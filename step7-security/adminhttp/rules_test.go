package adminhttp_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"shibafu.dev/step7-security/admin"
	"shibafu.dev/step7-security/adminhttp"
)

func TestReplaceRules(t *testing.T) {
	w := newWorld(t)
	put := func(status int, body string, header ...string) {
		t.Helper()
		before := w.state()
		answer := w.ask("PUT", adminhttp.Prefix+"policy", body, header...)
		if answer.Code != status {
			t.Errorf("%v: %d %s, want %d", header, answer.Code, answer.Body, status)
		}
		if status != 200 && w.state() != before {
			t.Errorf("%v: it failed, and changed the file", header)
		}
	}
	if etag := w.etag(); etag != "" {
		t.Errorf("there is nothing, of the ETag %s", etag)
	}
	put(428, usersMayPull)
	put(412, usersMayPull, "If-Match", `"`+strings.Repeat("0", 64)+`"`)
	put(200, usersMayPull, "If-None-Match", "*")
	put(412, teamMayPush, "If-None-Match", "*")
	first := w.etag()
	put(400, teamMayPush, "If-Match", "*")
	put(400, teamMayPush, "If-Match", first+", "+first)
	put(400, teamMayPush, "If-Match", "W/"+first)
	put(400, teamMayPush, "If-Match", first, "If-None-Match", "*")
	put(400, `{"rules": [{"subjects": ["everybody"]}]}`, "If-Match", first)
	put(400, `{"rules": [], "rules": []}`, "If-Match", first)
	put(400, "", "If-Match", first)
	put(200, teamMayPush, "If-Match", first)
	put(412, usersMayPull, "If-Match", first)
	put(200, teamMayPush, "If-Match", w.etag())
	w.heard()
	if raw, err := os.ReadFile(w.file("policy.json")); err != nil || string(raw) != teamMayPush {
		t.Errorf("the file is %s, %v", raw, err)
	}
	if info, err := os.Stat(w.file("policy.json")); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	var shown admin.Text
	w.must("GET", "policy", "", &shown)
	if !shown.InForce || shown.Text != teamMayPush || `"`+shown.Hash+`"` != w.etag() {
		t.Errorf("it shows %+v", shown)
	}
}

// Who broke the file by hand sees why it is not in force, and mends it here.
func TestRulesThatAreNotInForce(t *testing.T) {
	w := newWorld(t)
	w.fill()
	if err := os.WriteFile(w.file("policy.json"), []byte("{\n!"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.reload()
	var shown admin.Text
	w.must("GET", "policy", "", &shown)
	if shown.InForce || !strings.HasPrefix(shown.Reason, "policy.json:2:") || shown.Text != "{\n!" {
		t.Errorf("it shows %+v", shown)
	}
	shown = admin.Text{}
	w.must("PUT", "policy", teamMayPush, &shown, "If-Match", w.etag())
	if !shown.InForce || shown.Reason != "" {
		t.Errorf("it shows %+v", shown)
	}
}

func TestAskRules(t *testing.T) {
	tests := []struct {
		name, question string
		allowed        bool
		rule           string
		matches        int
	}{
		{"a member of the team", `{"subject": "user:alice", "repository": "team/app", "action": "push"}`, true, "team", 1},
		{"a user of none", `{"subject": "user:zoe", "repository": "team/app", "action": "push"}`, false, "", 0},
		{"a robot of the team", `{"subject": "robot:ci", "repository": "team/app", "action": "pull"}`, true, "team", 1},
		{"a user who is called as the robot", `{"subject": "user:ci", "repository": "team/app", "action": "pull"}`, false, "", 0},
		{"denied", `{"subject": "user:alice", "repository": "team/secret", "action": "push"}`, false, "not yet", 2},
		{"somebody of the group", `{"subject": "authenticated", "groups": ["team"], "repository": "team/app", "action": "push"}`, true, "team", 1},
		{"somebody", `{"subject": "authenticated", "repository": "team/app", "action": "push"}`, false, "", 0},
		{"nobody", `{"subject": "anonymous", "repository": "team/app", "action": "pull"}`, false, "", 0},
		{"the catalog", `{"subject": "user:alice", "action": "catalog"}`, false, "", 0},
		{"other rules", `{"subject": "anonymous", "repository": "a", "action": "pull", "text": "{\"rules\": [{\"subjects\": [\"anonymous\"], \"repositories\": [\"*\"], \"actions\": [\"pull\"]}]}"}`, true, "rule 1", 1},
		{"claims", `{"subject": "oidc:x", "claims": {"ref": ["main"]}, "repository": "a", "action": "pull", "text": "{\"rules\": [{\"subjects\": [\"claim:ref=m*\"], \"repositories\": [\"*\"], \"actions\": [\"pull\"]}]}"}`, true, "rule 1", 1},
	}
	w := newWorld(t)
	w.fill()
	w.must("PUT", "policy", teamMayPush, nil, "If-Match", w.etag())
	w.heard()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			var a admin.Answer
			w.must("POST", "policy/test", tt.question, &a)
			if a.Allowed != tt.allowed || a.Rule != tt.rule || len(a.Rules) != tt.matches || a.Explanation == "" {
				t.Errorf("the answer is %+v", a)
			}
		})
	}
	if told := w.heard(); told != "" {
		t.Errorf("the audit log is told %q of questions", told)
	}
}

func TestQuestionsThatCannotBe(t *testing.T) {
	tests := []struct{ name, question string }{
		{"no subject", `{"repository": "a", "action": "pull"}`},
		{"a subject of no kind", `{"subject": "alice", "repository": "a", "action": "pull"}`},
		{"a subject without a name", `{"subject": "user:", "repository": "a", "action": "pull"}`},
		{"a group is no subject", `{"subject": "group:team", "repository": "a", "action": "pull"}`},
		{"nobody, in a group", `{"subject": "anonymous", "groups": ["team"], "repository": "a", "action": "pull"}`},
		{"no action", `{"subject": "anonymous", "repository": "a"}`},
		{"another action", `{"subject": "anonymous", "repository": "a", "action": "fly"}`},
		{"no repository", `{"subject": "anonymous", "action": "pull"}`},
		{"no name of a repository", `{"subject": "anonymous", "repository": "A..b", "action": "pull"}`},
		{"the catalog of a repository", `{"subject": "anonymous", "repository": "a", "action": "catalog"}`},
		{"rules that cannot be", `{"subject": "anonymous", "repository": "a", "action": "pull", "text": "{"}`},
		{"an unknown field", `{"subject": "anonymous", "repository": "a", "action": "pull", "allowed": true}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			answer := w.ask("POST", adminhttp.Prefix+"policy/test", tt.question)
			if answer.Code != 400 || !json.Valid(answer.Body.Bytes()) || !strings.Contains(answer.Body.String(), "INVALID") {
				t.Errorf("%d %s", answer.Code, answer.Body)
			}
		})
	}
}
