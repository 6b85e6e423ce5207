package adminhttp_test

import (
	"net/http"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step7-security/adminhttp"
	"shibafu.dev/step7-security/auth"
)

// Who may not learns nothing, not even what there is, and changes nothing.
func TestAuthorize(t *testing.T) {
	reasons := []struct {
		name   string
		err    error
		status int
		header string // a challenge
	}{
		{"nobody", ocierr.Unauthorized, 401, `Basic realm="shibafu admin", charset="UTF-8"`},
		{"wrong credentials", auth.ErrCredentials, 401, `Basic realm="shibafu admin", charset="UTF-8"`},
		{"no right", ocierr.Denied, 403, ""},
		{"too many", auth.ErrBusy, 429, ""},
	}
	requests := []struct{ method, path, body, told string }{
		{"GET", "users", "", "list users"},
		{"POST", "users", `{"name": "carol", "password": "` + secret + `"}`, "add user"},
		{"DELETE", "users/alice", "", "remove user alice"},
		{"PUT", "policy", usersMayPull, "replace policy"},
		{"GET", "nothing", "", "unknown"},
		{"PATCH", "users", "", "unknown"},
		{"GET", "users//alice", "", "unknown"},
	}
	for _, reason := range reasons {
		t.Run(reason.name, func(t *testing.T) {
			w := newWorld(t)
			w.fill()
			w.opts.Trusted, w.opts.Authorize = false, func(*http.Request) error { return reason.err }
			before := w.state()
			var first string
			for _, r := range requests {
				answer := w.ask(r.method, adminhttp.Prefix+r.path, r.body)
				if first == "" {
					first = answer.Body.String()
				}
				if answer.Code != reason.status || answer.Body.String() != first || answer.Header().Get("WWW-Authenticate") != reason.header {
					t.Errorf("%s %s: %d %s %v", r.method, r.path, answer.Code, answer.Body, answer.Header())
				}
				if told := w.heard(); told != r.told+": failed" {
					t.Errorf("%s %s: the audit log is told %q", r.method, r.path, told)
				}
			}
			if w.state() != before {
				t.Error("something was changed")
			}
		})
	}
}

// The page of another site cannot change anything with the credentials that a browser
// keeps.
func TestOtherSites(t *testing.T) {
	const body = `{"name": "carol", "password": "` + secret + `"}`
	tests := []struct {
		name   string
		header []string
		body   string
		status int
	}{
		{"no browser", nil, body, 201},
		{"the same site", []string{"Origin", "http://example.com", "Sec-Fetch-Site", "same-origin"}, body, 201},
		{"somebody who typed it", []string{"Sec-Fetch-Site", "none"}, body, 201},
		{"another origin", []string{"Origin", "https://evil.example"}, body, 403},
		{"another port", []string{"Origin", "http://example.com:8080"}, body, 403},
		{"no origin to speak of", []string{"Origin", "null"}, body, 403},
		{"another site", []string{"Sec-Fetch-Site", "cross-site"}, body, 403},
		{"another host of the site", []string{"Sec-Fetch-Site", "same-site"}, body, 403},
		{"a form", []string{"Content-Type", "application/x-www-form-urlencoded"}, body, 403},
		{"a form of text", []string{"Content-Type", "text/plain"}, body, 403},
		{"a form of text, with a word behind", []string{"Content-Type", "text/plain; application/json"}, body, 403},
		{"a form of parts", []string{"Content-Type", "multipart/form-data; boundary=x"}, body, 403},
		{"no type", []string{"Content-Type", ""}, body, 415},
		{"another type", []string{"Content-Type", "application/xml"}, body, 415},
		{"a type that is none", []string{"Content-Type", "json"}, body, 415},
		{"a type with a parameter", []string{"Content-Type", "application/json; charset=utf-8"}, body, 201},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.fill()
			before := w.state()
			answer := w.ask("POST", adminhttp.Prefix+"users", tt.body, tt.header...)
			if answer.Code != tt.status {
				t.Errorf("%d %s, want %d", answer.Code, answer.Body, tt.status)
			}
			if changed := w.state() != before; changed != (tt.status == 201) {
				t.Errorf("changed: %v", changed)
			}
			told := "add user: failed"
			if tt.status == 201 {
				told = "add user carol"
			}
			if heard := w.heard(); heard != told {
				t.Errorf("the audit log is told %q, want %q", heard, told)
			}
		})
	}
}

// A form without fields has a type too.
func TestEmptyForm(t *testing.T) {
	w := newWorld(t)
	w.fill()
	answer := w.ask("POST", adminhttp.Prefix+"users/alice/disable", "", "Content-Type", "application/x-www-form-urlencoded")
	if answer.Code != 403 || !strings.Contains(answer.Body.String(), "forms are not taken") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}
