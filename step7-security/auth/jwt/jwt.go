// Package jwt makes and verifies signed tokens: JWTs as compact JWS, by Ed25519 (EdDSA)
// and ES256, and verifies RS256 too. A token is believed for nothing but a signature by a
// key that is known already: keys and addresses in its header are not looked at, and the
// algorithm is the key's, not the token's to choose. jwt.go is the form, key.go the keys,
// set.go and pem.go what a token is verified against, claims.go what it says.
//
// Source: RFC 7515, 7517, 7518, 7519, 8037 and 8725.
package jwt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"shibafu.dev/step7-security/internal/strictjson"
)

// What the errors of this package are. None holds anything of a token.
var (
	// ErrToken is a text that is no token, or one that is not signed by a known key.
	ErrToken = errors.New("not a valid token")
	// ErrUnknownKey is an ErrToken signed by a key that is not known; another look at
	// the issuer's keys may help.
	ErrUnknownKey = fmt.Errorf("%w: signed by an unknown key", ErrToken)
	// ErrClaims is a token that is rightly signed, but not for this time and place.
	ErrClaims = errors.New("token not valid here and now")
	// ErrKey is a key that is not fit for use.
	ErrKey = errors.New("bad key")
)

// MaxLen is the longest token that is looked at, in bytes.
const MaxLen = 16 << 10

// strict is base64url without padding, in its one spelling.
var strict = base64.RawURLEncoding.Strict()

// header is what is read of a token's header.
type header struct {
	Alg string `json:"alg"`
	Kid string `json:"kid,omitempty"`
	Typ string `json:"typ,omitempty"`
}

// token is one taken apart; nothing of it is verified.
type token struct {
	header    header
	payload   []byte
	signed    string // what the signature is over
	signature []byte
}

func parse(text string) (t token, err error) {
	if len(text) > MaxLen || strings.Count(text, ".") != 2 {
		return t, fmt.Errorf("%w: not three parts of a fair size", ErrToken)
	}
	i := strings.LastIndexByte(text, '.')
	head, body, _ := strings.Cut(text[:i], ".")
	raw, err := decode(head)
	if err != nil {
		return t, err
	}
	if t.payload, err = decode(body); err != nil {
		return t, err
	}
	if t.signature, err = decode(text[i+1:]); err != nil {
		return t, err
	}
	t.signed = text[:i]
	fields, err := members(raw)
	if err != nil {
		return t, err
	}
	for name, into := range map[string]*string{"alg": &t.header.Alg, "kid": &t.header.Kid, "typ": &t.header.Typ} {
		if err := member(fields, name, into); err != nil {
			return t, err
		}
	}
	if _, critical := fields["crit"]; critical {
		return t, fmt.Errorf("%w: asks for extensions", ErrToken)
	}
	return t, nil
}

// decode reads a part. encoding/base64 passes over line breaks, so they are looked for.
func decode(part string) ([]byte, error) {
	if strings.ContainsAny(part, "\r\n") {
		return nil, fmt.Errorf("%w: not base64url", ErrToken)
	}
	raw, err := strict.DecodeString(part)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64url", ErrToken)
	}
	return raw, nil
}

// members are the members of a JSON object by their exact names.
func members(raw []byte) (map[string]json.RawMessage, error) {
	if err := strictjson.Check(raw); err != nil {
		return nil, fmt.Errorf("%w: not a JSON object in its one reading", ErrToken)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("%w: not a JSON object", ErrToken)
	}
	return fields, nil
}

// member reads a member that is a text if it is there.
func member(fields map[string]json.RawMessage, name string, into *string) error {
	raw, there := fields[name]
	if !there {
		return nil
	}
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, into) != nil {
		return fmt.Errorf("%w: %s is not a text", ErrToken, name)
	}
	return nil
}
