package password_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"shibafu.dev/step7-security/auth/password"
)

func TestParseHtpasswd(t *testing.T) {
	bcrypt, sha := vectors()[1].text, vectors()[8].text
	all, err := password.ParseHtpasswd([]byte("# users\n\nalice:" + bcrypt + "\r\n  # more\nbob smith:" + sha))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all["alice"].String() != bcrypt || all["bob smith"].String() != sha {
		t.Errorf("read %v", all)
	}
}

func TestParseHtpasswdNamesTheLine(t *testing.T) {
	good := "alice:" + vectors()[1].text + "\n"
	tests := []struct{ name, text, want string }{
		{"no colon", good + "bob\n", `line 2: want "NAME:HASH"`},
		{"no name", good + "\n:" + vectors()[1].text, `line 3: want "NAME:HASH"`},
		{"no hash", "bob:", "line 1: not a password hash"},
		{"twice", good + good, `line 2: the user "alice" is there twice`},
		{"plain", good + "bob:s3cret\n", "line 2: not a password hash of a known form: plain or DES"},
		{"MD5", good + "bob:$apr1$s3cret$s3cret\n", "line 2: not a password hash of a known form: MD5"},
		{"SHA-1", "bob:{SHA}s3cret=\n", "line 1: not a password hash of a known form: SHA-1"},
		{"dear", "bob:$2y$20$s3cretCCCCCCCCCCCCCCCCE5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "line 1: password hash of an unreasonable cost"},
		{"long line", good + "bob:s3cret" + strings.Repeat("x", 2000), "line 2: longer than"},
		{"escape in a name", "b\x1bob:" + vectors()[1].text, "line 1: strange letters"},
		{"bad UTF-8", "b\xffob:" + vectors()[1].text, "line 1: strange letters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all, err := password.ParseHtpasswd([]byte(tt.text))
			if !errors.Is(err, password.ErrHtpasswd) || all != nil || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Fatalf("ParseHtpasswd = %v, %v; want %q", all, err, tt.want)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error tells the hash: %v", err)
			}
		})
	}
}

func FuzzParseHtpasswd(f *testing.F) {
	f.Add([]byte("# x\nalice:" + vectors()[1].text + "\n\nbob:" + vectors()[8].text))
	f.Add([]byte("a:b:c\n:\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		all, err := password.ParseHtpasswd(raw)
		if err != nil {
			if !errors.Is(err, password.ErrHtpasswd) || all != nil {
				t.Fatalf("ParseHtpasswd = %v, %v", all, err)
			}
			return
		}
		var lines []string
		for name, h := range all {
			lines = append(lines, name+":"+h.String()+"\n")
		}
		again, err := password.ParseHtpasswd([]byte(strings.Join(lines, "")))
		if err != nil || len(again) != len(all) {
			t.Fatalf("%v comes back as %v, %v", all, again, err)
		}
	})
}
