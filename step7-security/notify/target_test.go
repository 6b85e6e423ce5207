package notify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shibafu.dev/step7-security/notify"
)

func TestParse(t *testing.T) {
	all, err := notify.Parse([]byte(`{"targets": [
		{"name": "ci", "url": "http://10.1.2.3:8080/hook?token=t", "secret": "0123456789abcdef", "timeout": "5s", "allow": ["10.0.0.0/8"],
		 "headers": {"Authorization": "Bearer token"}, "content_type": "application/json"},
		{"name": "b.2_x-y", "url": "https://b.test"}]}`))
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	a, b := all[0], all[1]
	if a.Name != "ci" || string(a.URL) != "http://10.1.2.3:8080/hook?token=t" || a.Timeout != 5*time.Second || fmt.Sprint(a.Allow) != "[10.0.0.0/8]" ||
		string(a.Headers["Authorization"]) != "Bearer token" || a.ContentType != "application/json" {
		t.Errorf("the first: %s, %v, %v, %s", string(a.URL), a.Timeout, a.Allow, a.ContentType)
	}
	if b.Timeout != 10*time.Second || b.ContentType != notify.EventsType {
		t.Errorf("the second: %v, %s", b.Timeout, b.ContentType)
	}
}

func TestParseRefuses(t *testing.T) {
	folder := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	short, empty, large := file("short", "short"), file("empty", "\n"), file("large", strings.Repeat("x", 5000))
	one := func(fields string) string {
		return `{"targets": [{"name": "a", "url": "https://a.test", ` + fields + `}]}`
	}
	tests := []struct{ name, text, want string }{
		{"not JSON", "{\n\"targets\": x}", "line 2: not JSON"},
		{"unknown field", "{\n\"target\": []}", `line 2: unknown field "target"`},
		{"unknown field of a target", one(`"uri": "x"`), `unknown field "uri"`},
		{"twice the same field", one(`"secret": "x", "Secret": "y"`), "is there twice"},
		{"no name", `{"targets": [{"url": "https://a.test"}]}`, "a name is of"},
		{"a path as a name", `{"targets": [{"name": "../x", "url": "https://a.test"}]}`, "a name is of"},
		{"a name with a dot first", `{"targets": [{"name": ".x", "url": "https://a.test"}]}`, "a name is of"},
		{"twice the same name", `{"targets": [{"name": "a", "url": "https://a.test"}, {"name": "a", "url": "https://b.test"}]}`, "another of this name"},
		{"no URL", `{"targets": [{"name": "a"}]}`, "not one of https"},
		{"a file", `{"targets": [{"name": "a", "url": "file:///etc/passwd"}]}`, "not one of https"},
		{"credentials in the URL", `{"targets": [{"name": "a", "url": "https://u:p@a.test"}]}`, "belong into headers"},
		{"plain http", `{"targets": [{"name": "a", "url": "http://a.test"}]}`, "http is for networks"},
		{"no network", one(`"allow": ["10.0.0.1"]`), "no '/'"},
		{"bits behind the end", one(`"allow": ["10.0.0.1/8"]`), "bits behind its end"},
		{"no event", one(`"events": ["pushed"]`), `"pushed" is no event`},
		{"no events", one(`"events": []`), "nothing to tell"},
		{"no pattern", one(`"repositories": ["Team"]`), "repositories: "},
		{"timeout without a unit", one(`"timeout": "10"`), "timeout is a time"},
		{"timeout too long", one(`"timeout": "2m"`), "at most 1m"},
		{"timeout of nothing", one(`"timeout": "0s"`), "timeout is a time"},
		{"a header of ours", one(`"headers": {"Content-Type": "x"}`), "not yours to set"},
		{"a header's name", one(`"headers": {"a b": "x"}`), "no name of one"},
		{"a header's value", one(`"headers": {"a": "x\r\nb: y"}`), "control characters"},
		{"a type", one(`"content_type": "text/html"`), "content_type is none of"},
		{"two secrets", one(`"secret": "0123456789abcdef", "secret_file": "x"`), "one of secret and secret_file"},
		{"a short secret", one(`"secret": "short"`), "at least 16 bytes"},
		{"too many secrets", one(`"secret": "` + strings.Repeat(`0123456789abcdef\n`, 5) + `"`), "at most 4 secrets"},
		{"no file", one(`"secret_file": "` + folder + `/none"`), "no such file"},
		{"a short secret in a file", one(`"secret_file": "` + short + `"`), "at least 16 bytes"},
		{"an empty file", one(`"secret_file": "` + empty + `"`), "empty"},
		{"a large file", one(`"secret_file": "` + large + `"`), "larger than"},
		{"no CA file", one(`"ca_file": "` + folder + `/none"`), "no such file"},
		{"no CA in it", one(`"ca_file": "` + short + `"`), "no certificates"},
		{"too many", `{"targets": [` + strings.Repeat(`{},`, 32) + `{}]}`, "more than 32"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all, err := notify.Parse([]byte(tt.text))
			if !errors.Is(err, notify.ErrConfig) || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("Parse = %v, %v; want %q", all, err, tt.want)
			}
		})
	}
}

// Whoever prints a target, or logs it, does not show what is secret.
func TestHidden(t *testing.T) {
	all, err := notify.Parse([]byte(`{"targets": [{"name": "ci", "url": "https://ci.test/CANARY", "secret": "CANARY0123456789", "headers": {"Authorization": "CANARY"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb+"\n", *all[0])
	}
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(raw)
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "target", all[0], "url", all[0].URL)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "target", all[0], "url", all[0].URL)
	if text := b.String(); strings.Contains(text, "CANARY") || strings.Contains(strings.ToLower(text), "43414e415259") {
		t.Errorf("shows %s", text)
	}
}

// Nor do the errors of a file that is wrong.
func TestErrorsHide(t *testing.T) {
	for _, text := range []string{
		`{"targets": [{"name": "a", "url": "ftp://CANARY"}]}`, `{"targets": [{"name": "a", "url": "https://CANARY:CANARY@a.test"}]}`,
		`{"targets": [{"name": "a", "url": "https://a.test/%zzCANARY"}]}`, `{"targets": [{"name": "a", "url": "https://a.test", "secret": "CANARY"}]}`,
		`{"targets": [{"name": "a", "url": "https://a.test", "headers": {"a": "CANARY\n"}}]}`, `{"targets": [{"name": "a", "url": "https://a.test", "secret": ["CANARY"]}]}`,
	} {
		if _, err := notify.Parse([]byte(text)); err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
