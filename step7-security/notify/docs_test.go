package notify_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"shibafu.dev/step7-security/notify"
)

// blocks are those of docs/webhooks.md in a language.
func blocks(t *testing.T, language string, want int) (all []string) {
	t.Helper()
	for _, found := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(guide(t), -1) {
		all = append(all, found[1])
	}
	if len(all) != want {
		t.Fatalf("%d blocks of %s, want %d", len(all), language, want)
	}
	return all
}

func guide(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// The file of targets in the guide is one, and knows all fields that there are.
func TestGuideTargets(t *testing.T) {
	folder := t.TempDir()
	text := strings.ReplaceAll(blocks(t, "json", 2)[0], "/etc/shibafu", folder)
	for name, content := range map[string]string{"ci.secret": secret, "internal-ca.pem": certificate} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := notify.Parse([]byte(text)); err != nil || len(all) != 2 {
		t.Errorf("%d targets, %v", len(all), err)
	}
	var fields []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z_]+`(?:, `[a-z_]+`)*) \\|").FindAllStringSubmatch(guide(t), -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			fields = append(fields, strings.Trim(name, "`"))
		}
	}
	for _, field := range fields {
		if strings.HasPrefix(field, "shibafu_") {
			continue
		}
		_, err := notify.Parse(fmt.Appendf(nil, `{"targets": [{%q: 1}]}`, field))
		if err == nil || strings.Contains(err.Error(), "unknown field") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// The event in the guide has every field that one has, in their order.
func TestGuideEvent(t *testing.T) {
	text := blocks(t, "json", 2)[1]
	var e struct {
		Events []notify.Event `json:"events"`
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(text)); err != nil || compact.String() != string(again) {
		t.Errorf("%s\nis written as\n%s", compact.String(), again)
	}
}

// The lines of shell verify what is signed, and nothing else.
func TestGuideShell(t *testing.T) {
	script := blocks(t, "sh", 1)[0] + "\nverify \"$1\" \"$2\" \"$3\"\n"
	body := []byte(`{"events":[]}`)
	file := filepath.Join(t.TempDir(), "body.json")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	both := []string{"fedcba9876543210", secret}
	tests := []struct {
		name, signature string
		ok              bool
	}{
		{"signed", notify.Sign([]string{secret}, now, body), true},
		{"by one of two", notify.Sign(both, now, body), true},
		{"by another", notify.Sign(both[:1], now, body), false},
		{"another body", notify.Sign([]string{secret}, now, []byte("{}")), false},
		{"old", notify.Sign([]string{secret}, now.Add(-time.Hour), body), false},
		{"nothing", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := exec.Command("sh", "-euc", script, "sh", secret, tt.signature, file).CombinedOutput()
			if (err == nil) != tt.ok || len(out) > 0 {
				t.Errorf("%v, want ok: %v: %s", err, tt.ok, out)
			}
		})
	}
}

// The guide names the figures that there are.
func TestGuideFigures(t *testing.T) {
	names := regexp.MustCompile(`(?m)^# TYPE (\w+)`).FindAllStringSubmatch(newWorld(t, oneTarget).figures(), -1)
	if len(names) != 6 {
		t.Fatalf("%d figures", len(names))
	}
	for _, name := range names {
		if !strings.Contains(guide(t), "| `"+name[1]+"` |") {
			t.Errorf("%s is not in the guide", name[1])
		}
	}
}

// certificate is one of nobody.
const certificate = `-----BEGIN CERTIFICATE-----
MIIBdDCCARmgAwIBAgIUD73NTL7VP26kmPwVBC1tjqPCG7MwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAeFw0yNjExMjUwNDQzNDBaFw0zNjExMjIwNDQzNDBa
MA8xDTALBgNVBAMMBHRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQNF2Fl
/Op8ftIok98jBNNrQs1t8s+xR4BUTc4DhEyq5tV/NkJ2IPQvd/jNNWWJ0PGu3icb
pIXR6PGxe1GkeA3Ho1MwUTAdBgNVHQ4EFgQU12Ot//7z+R5AoVBU9fk/IFKzvQQw
HwYDVR0jBBgwFoAU12Ot//7z+R5AoVBU9fk/IFKzvQQwDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNJADBGAiEAwEyTK/E3EdjbbPgjmYnmsjoHr+p0aLB/JWgP
gRaQDFoCIQDuBuGt870G2jcpbylil3Emc3YOXNEFZSp95/thH8kZMA==
-----END CERTIFICATE-----
`
