package issuer_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/auth/issuer"
)

// The file counts as it is, soon after it changes; a bad one changes nothing, and who
// stays keeps the keys that are known.
func TestFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		path := filepath.Join(t.TempDir(), "issuers.json")
		put := func(text string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		put(file)
		f, err := issuer.Open(path, w)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go f.Run(ctx, time.Second, slog.New(slog.DiscardHandler))
		const name = "oidc$github:acme"
		first := f.Version(name)
		for _, step := range []struct {
			name, text string
			want       error
			changed    bool
		}{
			{"at first", file, nil, false},
			{"a bad file", "{", nil, false},
			{"another issuer changed", strings.Replace(file, "prod-*", "test-*", 1), nil, false},
			{"another rule", strings.ReplaceAll(file, `"acme"`, `"other"`), auth.ErrCredentials, true},
			{"the first file again", file, nil, false},
			{"taken out", `{"issuers": []}`, auth.ErrCredentials, true},
		} {
			put(step.text)
			time.Sleep(2 * time.Second)
			_, err := f.Identify(t.Context(), w.token(t, github+`,"owner":"acme"`))
			if !errors.Is(err, step.want) || (f.Version(name) != first) != step.changed {
				t.Errorf("%s: %v, version %q, at first %q", step.name, err, f.Version(name), first)
			}
		}
		if v := f.Version(name); v != "" || len(w.fetched) != 1 {
			t.Errorf("version %q of who is not there; fetched %v", v, w.fetched)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "issuers.json")
	if _, err := issuer.Open(path, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := issuer.Open(path, nil); !errors.Is(err, issuer.ErrConfig) {
		t.Errorf("bad file: %v", err)
	}
}

// No file that is taken lets in whom an issuer knows without asking anything of them.
func FuzzParse(f *testing.F) {
	f.Add([]byte(file))
	f.Add([]byte(`{"issuers": [{"id": "a", "issuer": "i", "audience": "r", "keys_file": "k", "rules": [{"when": {"x": ["*"]}, "name": "{a}{b}"}]}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		all, err := issuer.Parse(raw)
		if err != nil {
			if !errors.Is(err, issuer.ErrConfig) {
				t.Fatal(err)
			}
			return
		}
		for _, i := range all {
			if i.Audience == "" || (i.KeysURL == "") == (i.KeysFile == "") {
				t.Errorf("taken: %+v", i)
			}
			if len(i.Rules) == 0 && !i.Grants {
				t.Errorf("without a rule: %+v", i)
			}
			for _, r := range i.Rules {
				if len(r.When) == 0 {
					t.Errorf("asks nothing: %+v", i)
				}
			}
		}
		if again, err := issuer.Parse(raw); err != nil || !reflect.DeepEqual(again, all) {
			t.Errorf("%+v, and read again %+v, %v", all, again, err)
		}
	})
}
