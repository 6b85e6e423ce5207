package guards

import (
	"context"
	"strings"

	"shibafu.dev/step1-spec-notes/endpoint"
	"shibafu.dev/step1-spec-notes/ref"
	"shibafu.dev/step7-security/auth"
	"shibafu.dev/step7-security/policy"
)

// decider tells package auth what the rules say.
type decider func() *policy.Policy

// Allowed implements auth.Decider.
func (d decider) Allowed(_ context.Context, id auth.Identity, name ref.Name, action endpoint.Action) bool {
	return d().Allows(subject{id}, name, action)
}

// subject is an identity as rules name it.
type subject struct{ auth.Identity }

// Kind implements policy.Subject.
func (s subject) Kind() policy.Kind { return policy.Kind(s.Identity.Kind) }

// Name is without the prefix that tells kinds apart elsewhere.
func (s subject) Name() string {
	for _, prefix := range []string{auth.RobotPrefix, auth.OIDCPrefix, auth.CertificatePrefix} {
		if rest, ok := strings.CutPrefix(s.Identity.Name, prefix); ok {
			return rest
		}
	}
	return s.Identity.Name
}

// Groups implements policy.Subject.
func (s subject) Groups() []string { return s.Identity.Groups }

// Claim implements policy.Subject.
func (s subject) Claim(key string) []string { return s.Identity.Claims[key] }
