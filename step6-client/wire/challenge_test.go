package wire_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"shibafu.dev/step6-client/wire"
)

type params = map[string]string

func TestParseChallenges(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []string
		want   []wire.Challenge
	}{
		{"none", nil, nil},
		{"empty", []string{""}, nil},
		{"basic", []string{`Basic realm="a"`}, []wire.Challenge{{"basic", params{"realm": "a"}}}},
		{"bearer", []string{`Bearer realm="https://a/token",service="s",scope="repository:a/b:pull,push"`},
			[]wire.Challenge{{"bearer", params{"realm": "https://a/token", "service": "s", "scope": "repository:a/b:pull,push"}}}},
		{"spaces", []string{"Bearer  realm = \"a\" ,\tservice=\"b\" "}, []wire.Challenge{{"bearer", params{"realm": "a", "service": "b"}}}},
		{"no quotes", []string{`Bearer realm=a,service=b`}, []wire.Challenge{{"bearer", params{"realm": "a", "service": "b"}}}},
		{"capitals", []string{`BEARER Realm="A"`}, []wire.Challenge{{"bearer", params{"realm": "A"}}}},
		{"escapes", []string{`Basic realm="a\"b\\c"`}, []wire.Challenge{{"basic", params{"realm": `a"b\c`}}}},
		{"comma and equals in quotes", []string{`Basic realm="a, b=c"`}, []wire.Challenge{{"basic", params{"realm": "a, b=c"}}}},
		{"empty value in quotes", []string{`Bearer realm="a",scope=""`}, []wire.Challenge{{"bearer", params{"realm": "a", "scope": ""}}}},
		{"two in one", []string{`Basic realm="a", Bearer realm="b", service="c"`}, []wire.Challenge{{"basic", params{"realm": "a"}}, {"bearer", params{"realm": "b", "service": "c"}}}},
		{"two headers", []string{`Bearer realm="a"`, `Basic realm="b"`}, []wire.Challenge{{"bearer", params{"realm": "a"}}, {"basic", params{"realm": "b"}}}},
		{"no parameters", []string{`Negotiate, Basic realm="a"`}, []wire.Challenge{{"negotiate", nil}, {"basic", params{"realm": "a"}}}},
		{"an opaque word", []string{`Negotiate abc/+==, Basic realm="a"`}, []wire.Challenge{{"negotiate", nil}, {"basic", params{"realm": "a"}}}},
		{"empty elements", []string{`,, Basic realm="a",,`}, []wire.Challenge{{"basic", params{"realm": "a"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := wire.ParseChallenges(tt.values)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestParseChallengesRefuses(t *testing.T) {
	for name, value := range map[string]string{
		"parameter first":             `realm="a"`,
		"parameter twice":             `Bearer realm="a",realm="b"`,
		"parameter twice in capitals": `Bearer realm="a",Realm="b"`,
		"open quotes":                 `Bearer realm="a`,
		"quotes ended by an escape":   `Bearer realm="a\"`,
		"text after quotes":           `Bearer realm="a"b`,
		"newline in quotes":           "Bearer realm=\"a\nb\"",
		"escaped newline":             "Bearer realm=\"a\\\nb\"",
		"NUL":                         "Bearer realm=\"a\x00\"",
		"UTF-8":                       `Bearer realm="é"`,
		"no value":                    `Bearer service="a", realm=`,
		"two values":                  `Bearer realm=a b`,
		"scheme with a slash":         `Bea/rer realm="a"`,
		"quotes alone":                `"Bearer"`,
		"parameter after a word":      `Negotiate abc==, realm="a"`,
		"an equals sign alone":        `Bearer =`,
		"semicolons":                  `Bearer realm="a"; service="b"`,
		"too long":                    `Bearer realm="` + strings.Repeat("a", 9000) + `"`,
		"too many":                    strings.Repeat(`Basic realm="a",`, 20),
		"too many parameters":         `Bearer a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1,q=1`,
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := wire.ParseChallenges([]string{value}); !errors.Is(err, wire.ErrChallenge) || got != nil {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func FuzzParseChallenges(f *testing.F) {
	for _, s := range []string{"", `Basic realm="a"`, `Bearer realm="https://a/token",service="s",scope="repository:a/b:pull,push",error="invalid_token"`,
		`Negotiate abc==, Basic realm="a\"b"`, `Bearer realm=a , b = c`, `a b,c d=e`, `,`, `Bearer realm="`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		all, err := wire.ParseChallenges([]string{s})
		if err != nil {
			if all != nil || !errors.Is(err, wire.ErrChallenge) {
				t.Fatalf("%q: %v beside %v", s, all, err)
			}
			return
		}
		// One written form of each leads back to it, alone and in a row.
		var texts []string
		for _, c := range all {
			texts = append(texts, c.String())
		}
		again, err := wire.ParseChallenges([]string{strings.Join(texts, ", ")})
		if err != nil || !reflect.DeepEqual(again, all) {
			t.Fatalf("%q: %v comes back as %v, %v", s, all, again, err)
		}
	})
}
