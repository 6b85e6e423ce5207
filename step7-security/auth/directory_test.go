package auth_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/password"
)

// Hashes of "correct horse", cheap ones.
const (
	horse     = "correct horse"
	horseHash = "$pbkdf2-sha256$1000$8PHy8/T19vf4.fr7/P3./w$JwgcbJZlHBoE0uPBMy9SZsCsIJXsYLx/8XwH97PVwMU"
	bcrypt    = "$2y$05$cUs9RNI/217u.aGEeMcRwePJ33mz4S2uieVVgp1UbUTYkVPu9qctu"
)

func TestParseDirectoryNamesTheLine(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	tests := []struct{ name, text, want string }{
		{"not JSON", "{\n\"users\": s3cret}", "line 2: not JSON"},
		{"unknown field", "{\n\n\"user\": {}}", `line 3: unknown field "user"`},
		{"user twice", "{\"users\": {\"a\": {\"password\": \"" + horseHash + "\"},\n\"a\": {}}}", `line 2: "a" is there twice`},
		{"user in other letters", "{\"users\": {\"a\": {},\n\"A\": {}}}", `line 2: "A" is there twice`},
		{"robot as a user", "{\"users\": {\n\"robot$ci\": {\"password\": \"" + horseHash + "\"}}}", "line 2: users/robot$ci: not a possible name"},
		{"name for tokens", "{\"users\": {\n\"oidc\": {\"password\": \"" + horseHash + "\"}}}", "line 2: users/oidc: not a possible name"},
		{"name with a colon", "{\"users\": {\n\"a:b\": {\"password\": \"" + horseHash + "\"}}}", "line 2: users/a:b: not a possible name"},
		{"password in plain", "{\"users\": {\"a\":\n{\"password\": \"" + horseHash + "\"},\n\"b\": {\n\"password\": \"s3cret\"}}}", "line 3: users/b: not a password hash"},
		{"dear hash", "{\"users\": {\n\"a\": {\"password\": \"$2y$17$s3cretCCCCCCCCCCCCCCCCE5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\"}}}", "line 2: users/a: password hash of an unreasonable cost"},
		{"robot in plain", "{\"robots\": {\n\"ci\": {\"secret\": \"s3cret\"}}}", "line 2: robots/ci: the secret is not"},
		{"robot's time", "{\"robots\": {\n\"ci\": {\"secret\": \"" + sum + "\", \"expires\": \"tomorrow\"}}}", "line 2:"},
		{"group of spaces", "{\"groups\": {\n\n\"team\": [\"a\", \" \"]}}", "line 3: groups/team: member 2: not a possible name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := auth.ParseDirectory([]byte(tt.text))
			if !errors.Is(err, auth.ErrDirectory) || d != nil || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Fatalf("ParseDirectory = %v, %v; want %q", d, err, tt.want)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

func TestEdit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.json")
	hash, err := password.Parse(horseHash)
	if err != nil {
		t.Fatal(err)
	}
	var secret string
	steps := []struct {
		name   string
		change func(d *auth.Directory) error
		want   error
	}{
		{"add a user", func(d *auth.Directory) error { return d.SetUser("alice", hash) }, nil},
		{"a bad name", func(d *auth.Directory) error { return d.SetUser("robot$x", hash) }, auth.ErrName},
		{"add a robot", func(d *auth.Directory) (err error) {
			secret, err = d.AddRobot("ci", "builds", time.Time{})
			return err
		}, nil},
		{"the same robot", func(d *auth.Directory) error { _, err := d.AddRobot("ci", "", time.Time{}); return err }, auth.ErrExists},
		{"a group", func(d *auth.Directory) error { return d.Join("team", "alice") }, nil},
		{"the robot in it", func(d *auth.Directory) error { return d.Join("team", "robot$ci") }, nil},
		{"twice in it", func(d *auth.Directory) error { return d.Join("team", "alice") }, auth.ErrExists},
		{"keep the user out", func(d *auth.Directory) error { return d.DisableUser("alice", true) }, nil},
		{"keep the robot out", func(d *auth.Directory) error { return d.DisableRobot("ci", true) }, nil},
		{"let the robot in", func(d *auth.Directory) error { return d.DisableRobot("ci", false) }, nil},
		{"keep a stranger out", func(d *auth.Directory) error { return d.DisableUser("bob", true) }, auth.ErrUnknown},
		{"keep a strange robot out", func(d *auth.Directory) error { return d.DisableRobot("alice", true) }, auth.ErrUnknown},
		{"renew the robot", func(d *auth.Directory) (err error) {
			before, entry := secret, d.Robots["ci"]
			if secret, err = d.RenewRobot("ci", time.Unix(2e9, 0)); secret == before || d.Robots["ci"].Secret == entry.Secret {
				err = errors.New("the secret is the same")
			}
			return err
		}, nil},
		{"renew a stranger", func(d *auth.Directory) error { _, err := d.RenewRobot("cj", time.Time{}); return err }, auth.ErrUnknown},
		{"another group", func(d *auth.Directory) error { return d.Join("others", "alice") }, nil},
		{"no more of it", func(d *auth.Directory) error { return d.RemoveGroup("others") }, nil},
		{"nor again", func(d *auth.Directory) error { return d.RemoveGroup("others") }, auth.ErrUnknown},
		{"remove a stranger", func(d *auth.Directory) error { return d.RemoveUser("bob") }, auth.ErrUnknown},
		{"what cannot be", func(d *auth.Directory) error { d.Users["x"] = auth.UserEntry{}; return nil }, auth.ErrDirectory},
		{"remove the user", func(d *auth.Directory) error { return d.RemoveUser("alice") }, nil},
		{"leave twice", func(d *auth.Directory) error { return d.Leave("team", "alice") }, auth.ErrUnknown},
	}
	for _, s := range steps {
		if err := auth.Edit(path, s.change); !errors.Is(err, s.want) {
			t.Fatalf("%s: %v, want %v", s.name, err, s.want)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(raw), secret) {
		t.Fatalf("the file has the secret in it, or %v:\n%s", err, raw)
	}
	d, err := auth.ParseDirectory(raw)
	if ci := d.Robots["ci"]; ci.Note != "builds" || ci.Disabled || ci.Expires.Unix() != 2e9 {
		t.Errorf("the robot is %+v", ci)
	}
	if err != nil || len(d.Users) != 0 || len(d.Robots) != 1 || len(d.Groups) != 1 || !slices.Equal(d.Groups["team"], []string{"robot$ci"}) {
		t.Errorf("the file holds %+v, %v", d, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := auth.Edit(path, func(d *auth.Directory) error { return d.RemoveRobot("ci") }); err != nil {
		t.Error(err)
	}
}

// Of changes at the same time none is lost.
func TestEditsAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.json")
	done := make(chan error)
	for i := range 8 {
		go func() {
			done <- auth.Edit(path, func(d *auth.Directory) error { return d.Join("team", fmt.Sprint("user", i)) })
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if d, err := auth.ReadDirectory(path); err != nil || len(d.Groups["team"]) != 8 {
		t.Errorf("%+v, %v", d, err)
	}
}

func FuzzParseDirectory(f *testing.F) {
	f.Add([]byte(`{"users": {"a": {"password": "` + horseHash + `"}}, "robots": {"ci": {"secret": "` + strings.Repeat("0", 64) + `", "created": "2026-01-01T00:00:00Z"}}, "groups": {"g": ["a"]}}`))
	f.Add([]byte(`{"groups": {"g": ["\u0000"]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := auth.ParseDirectory(raw)
		if err != nil {
			if !errors.Is(err, auth.ErrDirectory) || d != nil {
				t.Fatalf("ParseDirectory = %v, %v", d, err)
			}
			return
		}
		for name := range d.Users {
			if auth.CheckName(name) != nil {
				t.Fatalf("a user is called %q", name)
			}
		}
	})
}
