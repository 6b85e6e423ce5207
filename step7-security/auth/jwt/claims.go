package jwt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Want is what a token must fit.
type Want struct {
	// Type is the header's typ; one that has none counts as "JWT".
	Type string
	// Issuer and Audience are exact, and required: an audience of several must hold this.
	Issuer, Audience string
	Now              time.Time
	// Leeway is how far clocks may be apart.
	Leeway time.Duration
}

// Claims are what a verified token says.
type Claims struct {
	Issuer, Subject, ID string
	Audience            []string
	Expires, IssuedAt   time.Time // IssuedAt may be zero
	// All are the members of the token by their exact names.
	All map[string]json.RawMessage
}

// Issuer reads who a token says has issued it, to find the keys for it. Nothing of it is
// verified. Its errors are ErrToken.
func Issuer(text string) (string, error) {
	t, err := parse(text)
	if err != nil {
		return "", err
	}
	fields, err := members(t.payload)
	if err != nil {
		return "", err
	}
	var issuer string
	return issuer, member(fields, "iss", &issuer)
}

// readClaims reads the payload of a token whose signature is right, and holds it to what
// is wanted. A token without an end is refused.
func readClaims(payload []byte, want Want) (Claims, error) {
	fields, err := members(payload)
	if err != nil {
		return Claims{}, err
	}
	c := Claims{All: fields}
	for name, into := range map[string]*string{"iss": &c.Issuer, "sub": &c.Subject, "jti": &c.ID} {
		if err := member(fields, name, into); err != nil {
			return Claims{}, err
		}
	}
	if c.Audience, err = audience(fields["aud"]); err != nil {
		return Claims{}, err
	}
	var notBefore time.Time
	for name, into := range map[string]*time.Time{"exp": &c.Expires, "iat": &c.IssuedAt, "nbf": &notBefore} {
		if *into, err = date(fields[name], name); err != nil {
			return Claims{}, err
		}
	}
	switch latest := want.Now.Add(want.Leeway); {
	case c.Issuer == "" || c.Issuer != want.Issuer:
		err = fmt.Errorf("%w: of another issuer", ErrClaims)
	case want.Audience == "" || !slices.Contains(c.Audience, want.Audience):
		err = fmt.Errorf("%w: for another audience", ErrClaims)
	case c.Expires.IsZero():
		err = fmt.Errorf("%w: without an end", ErrClaims)
	case !want.Now.Add(-want.Leeway).Before(c.Expires):
		err = fmt.Errorf("%w: expired", ErrClaims)
	case notBefore.After(latest) || c.IssuedAt.After(latest):
		err = fmt.Errorf("%w: from the future", ErrClaims)
	}
	if err != nil {
		return Claims{}, err
	}
	return c, nil
}

// audience reads a text or a list of texts.
func audience(raw json.RawMessage) ([]string, error) {
	switch raw = bytes.TrimSpace(raw); {
	case raw == nil:
		return nil, nil
	case len(raw) > 0 && raw[0] == '"':
		var one string
		err := member(map[string]json.RawMessage{"aud": raw}, "aud", &one)
		return []string{one}, err
	}
	var list []*string
	if json.Unmarshal(raw, &list) != nil || list == nil || slices.Contains(list, nil) {
		return nil, fmt.Errorf("%w: aud is neither a text nor a list of texts", ErrToken)
	}
	all := make([]string, len(list))
	for i, s := range list {
		all[i] = *s
	}
	return all, nil
}

// maxDate is the last second of the year 9999.
const maxDate = 253402300799

// date reads seconds since 1970, cut to whole ones; zero if raw is not there.
func date(raw json.RawMessage, name string) (time.Time, error) {
	if raw == nil {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseFloat(string(bytes.TrimSpace(raw)), 64)
	if err != nil || !(seconds > 0 && seconds <= maxDate) {
		return time.Time{}, fmt.Errorf("%w: %s is not a time", ErrToken, name)
	}
	return time.Unix(int64(seconds), 0).UTC(), nil
}
