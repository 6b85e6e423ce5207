package notify_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shibafu.dev/step7-security/notify"
)

const secret = "0123456789abcdef"

func TestVerify(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	body := []byte(`{"events":[]}`)
	header := notify.Sign([]string{secret}, now, body)
	// printf '%s' '1700000000.{"events":[]}' | openssl dgst -sha256 -hmac 0123456789abcdef
	if want := "t=1700000000,v1=" + signatureByOpenSSL; header != want {
		t.Errorf("Sign = %s, want %s", header, want)
	}
	both := notify.Sign([]string{"fedcba9876543210", secret}, now, body)
	tests := []struct {
		name, header, secret, body string
		at                         time.Time
		ok                         bool
	}{
		{"as signed", header, secret, string(body), now, true},
		{"one of two secrets", both, secret, string(body), now, true},
		{"the other one", both, "fedcba9876543210", string(body), now, true},
		{"a bit late", header, secret, string(body), now.Add(5 * time.Minute), true},
		{"too late", header, secret, string(body), now.Add(5*time.Minute + time.Second), false},
		{"too early", header, secret, string(body), now.Add(-5*time.Minute - time.Second), false},
		{"another secret", header, "fedcba9876543210", string(body), now, false},
		{"another body", header, secret, `{"events":[{}]}`, now, false},
		{"another time", strings.Replace(header, "t=1700000000", "t=1700000001", 1), secret, string(body), now, false},
		{"no time", strings.TrimPrefix(header, "t=1700000000,"), secret, string(body), now, false},
		{"no signature", "t=1700000000", secret, string(body), now, false},
		{"an empty one", "t=1700000000,v1=", secret, string(body), now, false},
		{"a part of one", header[:len(header)-2], secret, string(body), now, false},
		{"another version", strings.Replace(header, "v1=", "v0=", 1), secret, string(body), now, false},
		{"nothing", "", secret, string(body), now, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := notify.Verify(tt.header, tt.secret, []byte(tt.body), tt.at, 5*time.Minute)
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, notify.ErrSignature) {
				t.Errorf("Verify = %v, want ok: %v", err, tt.ok)
			}
		})
	}
}

// Each attempt is signed anew, by the secrets that are in the file at that time.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "secret")
		write := func(text string) {
			t.Helper()
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(secret + "\n")
		w := newWorld(t, strings.Replace(oneTarget, `"events"`, `"secret_file": "`+file+`", "events"`, 1))
		w.mustPush("1", "v1")
		w.sender.answers(func(context.Context, notify.Delivery) error {
			if len(w.sender.attempts()) == 0 {
				write("fedcba9876543210\n" + secret + "\n")
				return errServer
			}
			return nil
		})
		defer w.run()()
		time.Sleep(time.Minute)
		for i, d := range w.sender.attempts() {
			if err := notify.Verify(d.signature, secret, []byte(d.body), d.at, time.Second); err != nil {
				t.Errorf("attempt %d: %v", i, err)
			}
			if got, want := strings.Count(d.signature, "v1="), min(i+1, 2); got != want {
				t.Errorf("attempt %d has %d signatures, want %d", i, got, want)
			}
		}
	})
}

const signatureByOpenSSL = "1f1c43683e76ee83b09613ab56fa5bdd3ce55f3ee41db00a92e22eea0376899e"
