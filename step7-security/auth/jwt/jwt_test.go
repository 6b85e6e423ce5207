package jwt_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"shibafu.dev/step7-security/auth/jwt"
)

// noon is when the tests take place.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type claims map[string]any

func want() jwt.Want {
	return jwt.Want{Type: "JWT", Issuer: "us", Audience: "registry", Now: noon, Leeway: time.Minute}
}

// good are claims that fit want.
func good(change claims) claims {
	c := claims{"iss": "us", "sub": "alice", "aud": "registry", "exp": noon.Add(5 * time.Minute).Unix(), "iat": noon.Unix(), "nbf": noon.Unix()}
	for name, v := range change {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return c
}

func signer(t testing.TB, a jwt.Algorithm) jwt.Signer {
	t.Helper()
	s, err := jwt.Generate(a)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sign(t testing.TB, s jwt.Signer, c any) string {
	t.Helper()
	token, err := s.Sign("JWT", c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestSignAndVerify(t *testing.T) {
	ed, es := signer(t, jwt.EdDSA), signer(t, jwt.ES256)
	set := jwt.NewSet(ed.Key(), es.Key())
	for _, s := range []jwt.Signer{ed, es} {
		t.Run(string(s.Key().Algorithm()), func(t *testing.T) {
			got, err := set.Verify(sign(t, s, good(nil)), want())
			if err != nil || got.Subject != "alice" || got.Issuer != "us" || !got.Expires.Equal(noon.Add(5*time.Minute)) {
				t.Errorf("Verify = %+v, %v", got, err)
			}
		})
	}
	raw, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	again, err := jwt.ParseSet(raw)
	if err != nil || again.Len() != 2 {
		t.Fatalf("%s comes back as %v, %v", raw, again, err)
	}
	if _, err := again.Verify(sign(t, ed, good(nil)), want()); err != nil {
		t.Error(err)
	}
}

func TestClaims(t *testing.T) {
	s := signer(t, jwt.EdDSA)
	set := jwt.NewSet(s.Key())
	at := func(d time.Duration) int64 { return noon.Add(d).Unix() }
	tests := []struct {
		name   string
		change claims
		want   error
	}{
		{"as wanted", nil, nil},
		{"several audiences", claims{"aud": []string{"x", "registry"}}, nil},
		{"fraction of a second", claims{"exp": float64(at(time.Minute)) + 0.5}, nil},
		{"without iat and nbf", claims{"iat": nil, "nbf": nil}, nil},
		{"expired within the leeway", claims{"exp": at(-59 * time.Second)}, nil},
		{"expired", claims{"exp": at(-60 * time.Second)}, jwt.ErrClaims},
		{"not yet, within the leeway", claims{"nbf": at(time.Minute)}, nil},
		{"not yet", claims{"nbf": at(61 * time.Second)}, jwt.ErrClaims},
		{"issued in the future", claims{"iat": at(61 * time.Second)}, jwt.ErrClaims},
		{"no end", claims{"exp": nil}, jwt.ErrClaims},
		{"endless", claims{"exp": 1e20}, jwt.ErrToken},
		{"end as text", claims{"exp": "1900000000"}, jwt.ErrToken},
		{"end of null", claims{"exp": json.RawMessage("null")}, jwt.ErrToken},
		{"negative end", claims{"exp": -1}, jwt.ErrToken},
		{"end in other letters", claims{"exp": nil, "EXP": at(time.Minute)}, jwt.ErrClaims},
		{"another issuer", claims{"iss": "them"}, jwt.ErrClaims},
		{"no issuer", claims{"iss": nil}, jwt.ErrClaims},
		{"issuer is a number", claims{"iss": 1}, jwt.ErrToken},
		{"another audience", claims{"aud": "metrics"}, jwt.ErrClaims},
		{"no audience", claims{"aud": nil}, jwt.ErrClaims},
		{"empty audience", claims{"aud": []string{}}, jwt.ErrClaims},
		{"audience of numbers", claims{"aud": []int{1}}, jwt.ErrToken},
		{"audience of null", claims{"aud": []any{nil, "registry"}}, jwt.ErrToken},
		{"audience is an object", claims{"aud": claims{"registry": 1}}, jwt.ErrToken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := set.Verify(sign(t, s, good(tt.change)), want()); !errors.Is(err, tt.want) {
				t.Errorf("Verify = %+v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestForgeries(t *testing.T) {
	ed, es, other := signer(t, jwt.EdDSA), signer(t, jwt.ES256), signer(t, jwt.EdDSA)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := jwt.NewKey("rsa", &private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	set := jwt.NewSet(ed.Key(), es.Key(), rs)
	raw, err := json.Marshal(good(nil))
	if err != nil {
		t.Fatal(err)
	}
	body, kid := string(raw), ed.Key().ID()
	parts := strings.Split(sign(t, ed, good(nil)), ".")
	esParts := strings.Split(sign(t, es, good(nil)), ".")
	mac := func(signed, key string) string {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(signed))
		return signed + "." + b64(string(h.Sum(nil)))
	}
	// resigned is by the right key over another header or body.
	resigned := func(head, body string) string {
		return forge(t, ed, b64(head)+"."+b64(body))
	}
	asn1, err := esDER(es, esParts[0]+"."+esParts[1])
	if err != nil {
		t.Fatal(err)
	}
	edHead := `{"alg":"EdDSA","kid":"` + kid + `"`
	tests := []struct {
		name, token string
		want        error
	}{
		{"empty", "", jwt.ErrToken},
		{"dots", strings.Repeat(".", 1_000_000), jwt.ErrToken},
		{"too long", parts[0] + "." + strings.Repeat("A", jwt.MaxLen) + "." + parts[2], jwt.ErrToken},
		{"two parts", parts[0] + "." + parts[1], jwt.ErrToken},
		{"four parts", strings.Join(parts, ".") + ".x", jwt.ErrToken},
		{"JSON serialization", `{"payload":"x","signatures":[]}`, jwt.ErrToken},
		{"none", b64(`{"alg":"none"}`) + "." + parts[1] + ".", jwt.ErrToken},
		{"none with a key", b64(`{"alg":"none","kid":"`+kid+`"}`) + "." + parts[1] + ".", jwt.ErrToken},
		{"nOnE", b64(`{"alg":"nOnE","kid":"`+kid+`"}`) + "." + parts[1] + ".", jwt.ErrToken},
		{"no algorithm", resigned(`{"kid":"`+kid+`"}`, body), jwt.ErrToken},
		{"HMAC with the public key", mac(b64(`{"alg":"HS256","kid":"rsa"}`)+"."+parts[1], string(private.N.Bytes())), jwt.ErrToken},
		{"algorithm of another key", resigned(`{"alg":"ES256","kid":"`+kid+`"}`, body), jwt.ErrToken},
		{"key of another algorithm", resigned(`{"alg":"EdDSA","kid":"`+es.Key().ID()+`"}`, body), jwt.ErrToken},
		{"another key", sign(t, other, good(nil)), jwt.ErrUnknownKey},
		{"another key under a known ID", forge(t, other, b64(edHead+`}`)+"."+parts[1]), jwt.ErrToken},
		{"key in the header", forge(t, other, b64(edHead+`,"jwk":{"kty":"OKP","crv":"Ed25519","x":"x"}}`)+"."+parts[1]), jwt.ErrToken},
		{"no key named", resigned(`{"alg":"EdDSA"}`, body), jwt.ErrUnknownKey},
		{"key is a path", resigned(`{"alg":"EdDSA","kid":"../../dev/null"}`, body), jwt.ErrUnknownKey},
		{"key is a list", resigned(`{"alg":"EdDSA","kid":["`+kid+`"]}`, body), jwt.ErrToken},
		{"critical extension", resigned(edHead+`,"crit":["exp"]}`, body), jwt.ErrToken},
		{"empty list of critical ones", resigned(edHead+`,"crit":[]}`, body), jwt.ErrToken},
		{"another type", resigned(edHead+`,"typ":"refresh+jwt"}`, body), jwt.ErrClaims},
		{"member of the header twice", resigned(edHead+`,"alg":"EdDSA"}`, body), jwt.ErrToken},
		{"member twice", resigned(edHead+`}`, body[:len(body)-1]+`,"sub":"root"}`), jwt.ErrToken},
		{"member twice in other letters", resigned(edHead+`}`, body[:len(body)-1]+`,"SUB":"root"}`), jwt.ErrToken},
		{"payload is no object", resigned(edHead+`}`, `["x"]`), jwt.ErrToken},
		{"something behind the payload", resigned(edHead+`}`, body+`{}`), jwt.ErrToken},
		{"payload changed", parts[0] + "." + b64(body+" ") + "." + parts[2], jwt.ErrToken},
		{"padded", strings.Join(parts, ".") + "==", jwt.ErrToken},
		{"line break", parts[0] + "." + parts[1] + "\n." + parts[2], jwt.ErrToken},
		{"standard alphabet", parts[0] + "." + parts[1] + "." + strings.Repeat("+", 86), jwt.ErrToken},
		{"no signature", parts[0] + "." + parts[1] + ".", jwt.ErrToken},
		{"signature cut", strings.Join(parts, ".")[:len(strings.Join(parts, "."))-4], jwt.ErrToken},
		{"r and s zero", esParts[0] + "." + esParts[1] + "." + b64(strings.Repeat("\x00", 64)), jwt.ErrToken},
		{"signature as DER", esParts[0] + "." + esParts[1] + "." + b64(asn1), jwt.ErrToken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := set.Verify(tt.token, want()); !errors.Is(err, tt.want) || got.All != nil {
				t.Errorf("Verify = %+v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

// forge signs text by s as it is.
func forge(t *testing.T, s jwt.Signer, text string) string {
	t.Helper()
	signature, err := s.Private().Sign(nil, []byte(text), crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64(string(signature))
}

func esDER(s jwt.Signer, text string) (string, error) {
	sum := sha256.Sum256([]byte(text))
	der, err := ecdsa.SignASN1(rand.Reader, s.Private().(*ecdsa.PrivateKey), sum[:])
	return string(der), err
}

func TestParseSetRefuses(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	n1024 := base64.RawURLEncoding.EncodeToString(small.N.Bytes())
	n2048 := b64("\xff" + strings.Repeat("\x01", 255))
	x := b64(strings.Repeat("\x01", 32))
	tests := []struct{ name, text string }{
		{"empty", ``},
		{"no keys", `{}`},
		{"list", `[]`},
		{"member twice", `{"keys":[],"keys":[]}`},
		{"large", `{"keys":[` + strings.Repeat(" ", 256<<10) + `]}`},
		{"many", `{"keys":[{}` + strings.Repeat(",{}", 100) + `]}`},
		{"RSA of 1024 bits", `{"keys":[{"kty":"RSA","n":"` + n1024 + `","e":"AQAB"}]}`},
		{"RSA with exponent 1", `{"keys":[{"kty":"RSA","n":"` + n2048 + `","e":"AQ"}]}`},
		{"RSA with exponent 2", `{"keys":[{"kty":"RSA","n":"` + n2048 + `","e":"Ag"}]}`},
		{"RSA with exponent 65536", `{"keys":[{"kty":"RSA","n":"` + n2048 + `","e":"AQAA"}]}`},
		{"RSA with a large exponent", `{"keys":[{"kty":"RSA","n":"` + n2048 + `","e":"` + x + `"}]}`},
		{"Ed25519 of 31 bytes", `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` + b64(strings.Repeat("\x01", 31)) + `"}]}`},
		{"Ed25519 without x", `{"keys":[{"kty":"OKP","crv":"Ed25519"}]}`},
		{"not on the curve", `{"keys":[{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + x + `"}]}`},
		{"two of one ID", `{"keys":[{"kty":"OKP","kid":"a","crv":"Ed25519","x":"` + x + `"},{"kty":"OKP","kid":"a","crv":"Ed25519","x":"` + x + `"}]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if set, err := jwt.ParseSet([]byte(tt.text)); !errors.Is(err, jwt.ErrKey) {
				t.Errorf("ParseSet = %v, %v", set, err)
			}
		})
	}
}

func TestParseSetPassesOver(t *testing.T) {
	x := b64(strings.Repeat("\x01", 32))
	tests := []struct{ name, key string }{
		{"symmetric", `{"kty":"oct","k":"AAAA"}`},
		{"another curve", `{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}`},
		{"X25519", `{"kty":"OKP","crv":"X25519","x":"` + x + `"}`},
		{"for encryption", `{"kty":"OKP","crv":"Ed25519","x":"` + x + `","use":"enc"}`},
		{"to wrap keys", `{"kty":"OKP","crv":"Ed25519","x":"` + x + `","key_ops":["wrapKey"]}`},
		{"RS512", `{"kty":"RSA","alg":"RS512","n":"AA","e":"AQAB"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, err := jwt.ParseSet([]byte(`{"keys":[` + tt.key + `,{"kty":"OKP","crv":"Ed25519","x":"` + x + `","alg":"EdDSA","use":"sig"}]}`))
			if err != nil || set.Len() != 1 {
				t.Errorf("ParseSet = %v, %v", set, err)
			}
		})
	}
}

func TestNewKeyRefuses(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jwt.NewKey("", &p384.PublicKey); !errors.Is(err, jwt.ErrKey) {
		t.Errorf("P-384: %v", err)
	}
	if _, err := jwt.NewKey("", "text"); !errors.Is(err, jwt.ErrKey) {
		t.Errorf("text: %v", err)
	}
	if _, err := jwt.Generate(jwt.RS256); !errors.Is(err, jwt.ErrKey) {
		t.Errorf("RS256: %v", err)
	}
}

// Whatever is done to a token, it says what was signed or nothing.
func FuzzVerify(f *testing.F) {
	ed, es := signer(f, jwt.EdDSA), signer(f, jwt.ES256)
	set := jwt.NewSet(ed.Key(), es.Key())
	signed := map[string]bool{}
	for _, s := range []jwt.Signer{ed, es} {
		token := sign(f, s, good(nil))
		signed[token] = true
		f.Add(token)
	}
	f.Add("..")
	f.Add(b64(`{"alg":"none"}`) + "." + b64(`{}`) + ".")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := set.Verify(text, want())
		if (err == nil) != signed[text] {
			t.Fatalf("Verify(%q) = %v", text, err)
		}
		jwt.Issuer(text)
	})
}

func FuzzParseSet(f *testing.F) {
	raw, err := json.Marshal(jwt.NewSet(signer(f, jwt.EdDSA).Key(), signer(f, jwt.ES256).Key()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AA","e":"AQAB"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		set, err := jwt.ParseSet(raw)
		if err != nil {
			return
		}
		out, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := jwt.ParseSet(out); err != nil || again.Len() != set.Len() {
			t.Fatalf("%s comes back as %v, %v", out, again, err)
		}
	})
}
