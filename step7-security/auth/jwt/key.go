package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/big"
)

// Algorithm is how tokens are signed, by the names of RFC 7518 and 8037.
type Algorithm string

const (
	EdDSA Algorithm = "EdDSA" // Ed25519
	ES256 Algorithm = "ES256"
	RS256 Algorithm = "RS256" // verified only
)

// What RSA keys may be. Large ones cost time for every token.
const (
	minRSA, maxRSA = 2048, 8192 // bits
	maxExponent    = 1<<31 - 1
)

// coordinate is the length of a number of P-256, in bytes.
const coordinate = 32

// Key is a public key that is fit to verify tokens.
type Key struct {
	id        string
	algorithm Algorithm
	public    crypto.PublicKey
}

// NewKey is public under an ID; "" stands for its thumbprint. Its errors are ErrKey.
func NewKey(id string, public crypto.PublicKey) (Key, error) {
	k := Key{id: id, public: public}
	switch p := public.(type) {
	case ed25519.PublicKey:
		k.algorithm = EdDSA
		if len(p) != ed25519.PublicKeySize {
			return Key{}, fmt.Errorf("%w: an Ed25519 key of %d bytes", ErrKey, len(p))
		}
	case *ecdsa.PublicKey:
		k.algorithm = ES256
		if p.Curve != elliptic.P256() {
			return Key{}, fmt.Errorf("%w: not of the curve P-256", ErrKey)
		}
		if _, err := p.Bytes(); err != nil {
			return Key{}, fmt.Errorf("%w: not a point of its curve", ErrKey)
		}
	case *rsa.PublicKey:
		k.algorithm = RS256
		if n := p.N.BitLen(); n < minRSA || n > maxRSA || p.N.Bit(0) == 0 {
			return Key{}, fmt.Errorf("%w: RSA of %d bits, want an odd number of %d to %d", ErrKey, n, minRSA, maxRSA)
		}
		if p.E <= 2 || p.E%2 == 0 || p.E > maxExponent {
			return Key{}, fmt.Errorf("%w: RSA with an exponent that is even, small or large", ErrKey)
		}
	default:
		return Key{}, fmt.Errorf("%w: neither Ed25519 nor P-256 nor RSA", ErrKey)
	}
	if k.id == "" {
		k.id = k.Thumbprint()
	}
	return k, nil
}

// ID is what tokens name it by.
func (k Key) ID() string { return k.id }

// Algorithm is the one that it verifies.
func (k Key) Algorithm() Algorithm { return k.algorithm }

// Thumbprint is the key's own name: RFC 7638, with SHA-256.
func (k Key) Thumbprint() string {
	j := k.jwk()
	// The members that make the key, in the order of their names, and no spaces.
	canonical, _ := json.Marshal(struct {
		Crv string `json:"crv,omitempty"`
		E   string `json:"e,omitempty"`
		Kty string `json:"kty"`
		N   string `json:"n,omitempty"`
		X   string `json:"x,omitempty"`
		Y   string `json:"y,omitempty"`
	}{j.Crv, j.E, j.Kty, j.N, j.X, j.Y})
	sum := sha256.Sum256(canonical)
	return strict.EncodeToString(sum[:])
}

func (k Key) verifies(signed string, signature []byte) bool {
	sum := sha256.Sum256([]byte(signed))
	switch p := k.public.(type) {
	case ed25519.PublicKey:
		return len(signature) == ed25519.SignatureSize && ed25519.Verify(p, []byte(signed), signature)
	case *ecdsa.PublicKey:
		if len(signature) != 2*coordinate {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:coordinate]), new(big.Int).SetBytes(signature[coordinate:])
		return ecdsa.Verify(p, sum[:], r, s)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(p, crypto.SHA256, sum[:], signature) == nil
	}
	return false
}

// Signer is a private key that signs tokens.
type Signer struct {
	key     Key
	private crypto.Signer
}

// Generate makes a key for EdDSA or ES256; another algorithm is ErrKey.
func Generate(a Algorithm) (Signer, error) {
	switch a {
	case EdDSA:
		_, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			return Signer{}, err
		}
		return NewSigner(private)
	case ES256:
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return Signer{}, err
		}
		return NewSigner(private)
	}
	return Signer{}, fmt.Errorf("%w: no keys are made for %q", ErrKey, a)
}

// NewSigner signs with private, an ed25519.PrivateKey or an *ecdsa.PrivateKey of P-256,
// under its thumbprint. Its errors are ErrKey.
func NewSigner(private crypto.Signer) (Signer, error) {
	switch private.(type) {
	case ed25519.PrivateKey, *ecdsa.PrivateKey:
	default:
		return Signer{}, fmt.Errorf("%w: not for signing", ErrKey)
	}
	key, err := NewKey("", private.Public())
	return Signer{key, private}, err
}

// Key is the public key.
func (s Signer) Key() Key { return s.key }

// Private is the private key, to be kept.
func (s Signer) Private() crypto.Signer { return s.private }

// Sign makes a token of type typ ("JWT") out of claims, which encode as a JSON object.
func (s Signer) Sign(typ string, claims any) (string, error) {
	head, err := json.Marshal(header{Alg: string(s.key.algorithm), Kid: s.key.id, Typ: typ})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := strict.EncodeToString(head) + "." + strict.EncodeToString(body)
	signature, err := s.sign(signed)
	if err != nil {
		return "", err
	}
	return signed + "." + strict.EncodeToString(signature), nil
}

func (s Signer) sign(signed string) ([]byte, error) {
	switch p := s.private.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(p, []byte(signed)), nil
	case *ecdsa.PrivateKey:
		sum := sha256.Sum256([]byte(signed))
		r, sv, err := ecdsa.Sign(rand.Reader, p, sum[:])
		if err != nil {
			return nil, err
		}
		out := make([]byte, 2*coordinate)
		r.FillBytes(out[:coordinate])
		sv.FillBytes(out[coordinate:])
		return out, nil
	}
	return nil, ErrKey
}
