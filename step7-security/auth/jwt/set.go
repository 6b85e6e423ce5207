package jwt

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"shibafu.dev/step7-security/internal/strictjson"
)

const (
	// maxSet and maxKeys bound a document of keys, in bytes and in number.
	maxSet  = 256 << 10
	maxKeys = 100
)

// Set is a set of keys, each under its ID.
type Set struct{ keys map[string]Key }

// NewSet is a set of keys; of two with the same ID the last one counts.
func NewSet(keys ...Key) Set {
	s := Set{map[string]Key{}}
	for _, k := range keys {
		s.keys[k.id] = k
	}
	return s
}

// Len is how many keys it has.
func (s Set) Len() int { return len(s.keys) }

// Verify reads a token that one of the keys signed. Its errors are ErrToken, ErrUnknownKey
// among them, and ErrClaims where it does not fit what is wanted.
func (s Set) Verify(text string, want Want) (Claims, error) {
	t, err := parse(text)
	if err != nil {
		return Claims{}, err
	}
	key, known := s.keys[t.header.Kid]
	if !known {
		return Claims{}, ErrUnknownKey
	}
	if t.header.Alg != string(key.algorithm) || !key.verifies(t.signed, t.signature) {
		return Claims{}, fmt.Errorf("%w: the signature is not that of the key", ErrToken)
	}
	if t.header.Typ != want.Type && (t.header.Typ != "" || want.Type != "JWT") {
		return Claims{}, fmt.Errorf("%w: a token of another type", ErrClaims)
	}
	return readClaims(t.payload, want)
}

// jwk is a key as JSON, RFC 7517 and 7518, section 6.
type jwk struct {
	Kty string   `json:"kty"`
	Kid string   `json:"kid,omitempty"`
	Use string   `json:"use,omitempty"`
	Alg string   `json:"alg,omitempty"`
	Crv string   `json:"crv,omitempty"`
	X   string   `json:"x,omitempty"`
	Y   string   `json:"y,omitempty"`
	N   string   `json:"n,omitempty"`
	E   string   `json:"e,omitempty"`
	Ops []string `json:"key_ops,omitempty"`
}

// ParseSet reads a JWK set. Keys of kinds that are not known here, for encryption, or for
// another algorithm are passed over; one that should be good and is not is ErrKey, as are
// two under one ID.
func ParseSet(raw []byte) (Set, error) {
	var doc struct {
		Keys []jwk `json:"keys"`
	}
	if len(raw) > maxSet || strictjson.Check(raw) != nil || json.Unmarshal(raw, &doc) != nil || doc.Keys == nil {
		return Set{}, fmt.Errorf("%w: not a JWK set of a fair size", ErrKey)
	}
	if len(doc.Keys) > maxKeys {
		return Set{}, fmt.Errorf("%w: more than %d of them", ErrKey, maxKeys)
	}
	s := NewSet()
	for i, j := range doc.Keys {
		if j.foreign() {
			continue
		}
		k, err := j.key()
		if err != nil {
			return Set{}, fmt.Errorf("key %d: %w", i+1, err)
		}
		if _, twice := s.keys[k.id]; twice {
			return Set{}, fmt.Errorf("key %d: %w: its ID is that of another", i+1, ErrKey)
		}
		s.keys[k.id] = k
	}
	return s, nil
}

// foreign tells whether the key is for something else.
func (j jwk) foreign() bool {
	algorithm, known := map[string]Algorithm{"OKP Ed25519": EdDSA, "EC P-256": ES256, "RSA ": RS256}[j.Kty+" "+j.Crv]
	return !known || j.Use != "" && j.Use != "sig" ||
		j.Alg != "" && j.Alg != string(algorithm) && (algorithm != EdDSA || j.Alg != "Ed25519") ||
		len(j.Ops) > 0 && !slices.Contains(j.Ops, "verify")
}

func (j jwk) key() (Key, error) {
	switch j.Kty {
	case "OKP":
		x, err := number(j.X)
		if err != nil {
			return Key{}, err
		}
		return NewKey(j.Kid, ed25519.PublicKey(x))
	case "EC":
		x, errX := number(j.X)
		y, errY := number(j.Y)
		if err := cmp.Or(errX, errY); err != nil {
			return Key{}, err
		}
		if len(x) != coordinate || len(y) != coordinate {
			return Key{}, fmt.Errorf("%w: not a point of its curve", ErrKey)
		}
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil {
			return Key{}, fmt.Errorf("%w: not a point of its curve", ErrKey)
		}
		return NewKey(j.Kid, public)
	}
	n, errN := number(j.N)
	e, errE := number(j.E)
	if err := cmp.Or(errN, errE); err != nil {
		return Key{}, err
	}
	exponent := new(big.Int).SetBytes(e)
	if !exponent.IsInt64() || exponent.Int64() > maxExponent {
		return Key{}, fmt.Errorf("%w: RSA with a large exponent", ErrKey)
	}
	return NewKey(j.Kid, &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())})
}

func number(text string) ([]byte, error) {
	raw, err := decode(text)
	if err != nil || len(raw) == 0 {
		return nil, fmt.Errorf("%w: a number that is not base64url", ErrKey)
	}
	return raw, nil
}

// jwk is the key as JSON says it.
func (k Key) jwk() jwk {
	j := jwk{Kid: k.id, Use: "sig", Alg: string(k.algorithm)}
	switch p := k.public.(type) {
	case ed25519.PublicKey:
		j.Kty, j.Crv, j.X = "OKP", "Ed25519", strict.EncodeToString(p)
	case *ecdsa.PublicKey:
		point, _ := p.Bytes() // NewKey saw that it is on the curve
		j.Kty, j.Crv = "EC", "P-256"
		j.X, j.Y = strict.EncodeToString(point[1:1+coordinate]), strict.EncodeToString(point[1+coordinate:])
	case *rsa.PublicKey:
		j.Kty, j.N = "RSA", strict.EncodeToString(p.N.Bytes())
		j.E = strict.EncodeToString(big.NewInt(int64(p.E)).Bytes())
	}
	return j
}

// MarshalJSON is the set as a JWK set, in the order of the IDs.
func (s Set) MarshalJSON() ([]byte, error) {
	keys := make([]jwk, 0, len(s.keys))
	for _, id := range slices.Sorted(maps.Keys(s.keys)) {
		keys = append(keys, s.keys[id].jwk())
	}
	return json.Marshal(struct {
		Keys []jwk `json:"keys"`
	}{keys})
}
