package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// SignatureHeader is where the signature of a delivery stands.
const SignatureHeader = "Shibafu-Signature"

// ErrSignature is a delivery that is not from who it says, or not of now.
var ErrSignature = errors.New("notify: the signature does not fit")

// Sign returns "t=SECONDS,v1=HEX": the time, in seconds since 1970, and the HMAC-SHA256 by
// the secret of that text, a dot and the body. With several secrets there is a v1 for each,
// so that whoever verifies may know the one before or the one after.
func Sign(secrets []string, at time.Time, body []byte) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	text := "t=" + stamp
	for _, secret := range secrets {
		text += fmt.Sprintf(",v1=%x", mac(secret, stamp, body))
	}
	return text
}

// Verify returns ErrSignature unless one of the header's signatures is that of the body by
// the secret, and its time is not further from now than leeway.
func Verify(header, secret string, body []byte, now time.Time, leeway time.Duration) error {
	stamp, rest, _ := strings.Cut(strings.TrimPrefix(header, "t="), ",")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > leeway {
		return ErrSignature
	}
	want := mac(secret, stamp, body)
	for part := range strings.SplitSeq(rest, ",") {
		text, _ := strings.CutPrefix(part, "v1=")
		if got, err := hex.DecodeString(text); err == nil && hmac.Equal(got, want) {
			return nil
		}
	}
	return ErrSignature
}

func mac(secret, stamp string, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(stamp + "."))
	h.Write(body)
	return h.Sum(nil)
}
