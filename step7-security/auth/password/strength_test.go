package password_test

import (
	"errors"
	"strings"
	"testing"

	"shibafu.dev/step7-security/auth/password"
)

func TestCheckChosen(t *testing.T) {
	tests := []struct {
		name, password, user string
		want                 error
	}{
		{"a few words", "correct horse battery", "alice", nil},
		{"15 characters", "kq3x9vmw2p7rtzd", "alice", nil},
		{"14 characters", "kq3x9vmw2p7rtz", "alice", password.ErrWeak},
		{"15 characters in more bytes", "柴犬ふふふ、ことばを並べる合言葉", "alice", nil},
		{"15 bytes in fewer characters", "柴犬ふふふ", "alice", password.ErrWeak},
		{"letters alone are no fault", "correcthorsebattery", "alice", nil},
		{"one key", strings.Repeat("a", 20), "bob", password.ErrWeak},
		{"a few keys in turn", strings.Repeat("abc1", 8), "bob", password.ErrWeak},
		{"the name and a year", "Alice.Alice.2026", "alice", password.ErrWeak},
		{"what everybody tries", "Shibafu-Registry-1", "alice", password.ErrWeak},
		{"the name among words", "alice likes horses", "alice", nil},
		{"a short name is no matter", "a cat sat on a mat", "a", nil},
		{"empty", "", "alice", password.ErrPassword},
		{"a zero byte", "correct horse\x00battery", "alice", password.ErrPassword},
		{"as long as there can be", strings.Repeat("correct ", 64), "alice", nil},
		{"too long", strings.Repeat("correct ", 64) + "x", "alice", password.ErrPassword},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := password.CheckChosen(tt.password, tt.user)
			if !errors.Is(err, tt.want) {
				t.Fatalf("CheckChosen = %v, want %v", err, tt.want)
			}
			if err != nil && tt.password != "" && strings.Contains(err.Error(), tt.password) {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}
