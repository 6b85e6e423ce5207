package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step6-client/client"
	"shibafu.dev/step6-client/credential"
)

// typed is what somebody has typed.
var typed = credential.Fixed{Username: "u", Password: "swordfish"}

// Errors are the registry's own where it has the specification's form, and what the
// status says where not.
func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		code   ocierr.Code
	}{
		{"its own", 404, `{"errors":[{"code":"NAME_UNKNOWN","message":"x","detail":{"a":1}}]}`, ocierr.NameUnknown},
		{"the first of several", 400, `{"errors":[{"code":"DIGEST_INVALID"},{"code":"NAME_INVALID"}]}`, ocierr.DigestInvalid},
		{"one that nobody knows", 418, `{"errors":[{"code":"TEAPOT"}]}`, "TEAPOT"},
		{"no errors", 404, `{"errors":[]}`, ocierr.ManifestUnknown},
		{"no code", 404, `{"errors":[{"message":"x"}]}`, ocierr.ManifestUnknown},
		{"a code that is none", 404, `{"errors":[{"code":"not a code"}]}`, ocierr.ManifestUnknown},
		{"a page for people", 404, "<html>", ocierr.ManifestUnknown},
		{"nothing", 404, "", ocierr.ManifestUnknown},
		{"cut", 404, `{"errors":[{"code":"NAME_UNK`, ocierr.ManifestUnknown},
		{"401", 401, "", ocierr.Unauthorized},
		{"403", 403, "", ocierr.Denied},
		{"405", 405, "", ocierr.Unsupported},
		{"429", 429, "", ocierr.TooManyRequests},
		{"500", 500, "", ocierr.InternalError},
		{"507", 507, "", ocierr.StorageFull},
		{"304", 304, "", ocierr.Unsupported},
		{"without end", 404, "ENDLESS", ocierr.ManifestUnknown},
		{"a message without end", 404, `{"errors":[{"code":"DENIED","message":"` + strings.Repeat("x", 100<<10) + `"}]}`, ocierr.ManifestUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer := func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(tt.status)
				if tt.body == "ENDLESS" {
					forever(w, r)
				}
				fmt.Fprint(w, tt.body)
			}
			inBubble(t, answered(manifests("GET"), answer), impatient, func(t *testing.T, c, _ *client.Client) {
				_, _, err := c.Manifest(t.Context(), aName, ref.ByTag(ref.MustTag("x")))
				if e, _ := ocierr.From(err); !errors.Is(err, tt.code) || e.Status != tt.status {
					t.Errorf("%v, status %d; want %s", err, e.Status, tt.code)
				}
			})
		})
	}
}

// A message is not obeyed by a terminal, and not longer than a screen.
func TestMessagesAreHarmless(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(404)
		fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":"a\u001b[2Jb\nc\u202ed%s"}]}`, strings.Repeat("x", 10<<10))
	}
	inBubble(t, answered(manifests("GET"), answer), impatient, func(t *testing.T, c, _ *client.Client) {
		_, _, err := c.Manifest(t.Context(), aName, ref.ByTag(ref.MustTag("x")))
		if text := err.Error(); !strings.Contains(text, "a [2Jb c d") || len(text) > 2000 || strings.ContainsAny(text, "\x1b\n\u202e") {
			t.Errorf("%q", text)
		}
	})
}

func TestPing(t *testing.T) {
	inBubble(t, straight, impatient, func(t *testing.T, c, _ *client.Client) {
		if err := c.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
	inBubble(t, answered(func(*http.Request) bool { return true }, status(401)), impatient, func(t *testing.T, c, _ *client.Client) {
		if err := c.Ping(t.Context()); !errors.Is(err, ocierr.Unauthorized) {
			t.Error(err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	for _, host := range []string{"", "a/b", "u@h", "h:p"} {
		if _, err := client.New(host, client.Options{}); err == nil {
			t.Errorf("%q is taken", host)
		}
	}
}
