package ref_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"shibafu.dev/step1-spec-notes/digest"
	"shibafu.dev/step1-spec-notes/ref"
)

func TestParseReference(t *testing.T) {
	d := digest.FromBytes(nil)
	at := "@" + d.String()
	tests := []struct {
		name, text      string
		host, repo, tag string
		hasDigest       bool
		reason          string
	}{
		{"name", "alpine", "", "alpine", "", false, "no default is assumed"},
		{"name and tag", "library/alpine:3.20", "", "library/alpine", "3.20", false, "library is no host"},
		{"name and digest", "alpine" + at, "", "alpine", "", true, ""},
		{"all", "localhost:5000/a/b:1" + at, "localhost:5000", "a/b", "1", true, ""},
		{"localhost", "localhost/a", "localhost", "a", "", false, "the one host without a dot or a port"},
		{"localhost as a name", "localhost", "", "localhost", "", false, "no slash follows"},
		{"dotted name", "a.b", "", "a.b", "", false, "no slash follows"},
		{"dotted host", "a.b/c", "a.b", "c", "", false, ""},
		{"port", "registry:80/c", "registry:80", "c", "", false, ""},
		{"capital", "Registry/c", "Registry", "c", "", false, "no name has capitals"},
		{"IPv4", "127.0.0.1:5000/c", "127.0.0.1:5000", "c", "", false, ""},
		{"IPv6", "[::1]:5000/c", "[::1]:5000", "c", "", false, ""},
		{"IPv6 without a port", "[2001:db8::1]/c", "[2001:db8::1]", "c", "", false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := ref.ParseReference(tt.text)
			if err != nil {
				t.Fatalf("%v (%s)", err, tt.reason)
			}
			if r.Host != tt.host || r.Name.String() != tt.repo || r.Tag.String() != tt.tag || r.Digest.IsZero() == tt.hasDigest {
				t.Errorf("got %+v (%s)", r, tt.reason)
			}
			if r.String() != tt.text {
				t.Errorf("String = %s", r)
			}
		})
	}
}

func TestParseReferenceRefuses(t *testing.T) {
	tests := []struct {
		name, text string
		want       error
		reason     string
	}{
		{"empty", "", ref.ErrName, ""},
		{"host alone", "localhost:5000/", ref.ErrName, "no name"},
		{"capital in the name", "a/B", ref.ErrName, "only the first part may be a host"},
		{"empty tag", "a:", ref.ErrTag, ""},
		{"slash in the tag", "a:b/c", ref.ErrReference, "a: is a host then, with a port that is no number"},
		{"empty digest", "a@", digest.ErrInvalid, ""},
		{"foreign digest", "a@md5:00", digest.ErrUnsupported, ""},
		{"two digests", "a@sha256:aa@sha256:bb", digest.ErrInvalid, ""},
		{"scheme", "https://host/a", ref.ErrReference, "a reference is not a URL"},
		{"user", "user:pw@host/a", digest.ErrInvalid, "what follows @ is a digest"},
		{"port 0", "h:0/a", ref.ErrReference, "nobody listens there"},
		{"port with a zero", "h:05000/a", ref.ErrReference, "two spellings of one host"},
		{"port too large", "h:65536/a", ref.ErrReference, "16 bits"},
		{"host with a dash", "-h.x/a", ref.ErrReference, "labels start with a letter or digit"},
		{"empty label", "h..x/a", ref.ErrReference, ""},
		{"IPv6 zone", "[fe80::1%25eth0]/a", ref.ErrReference, "means something on one machine only"},
		{"brackets around a name", "[h.x]:80/a", ref.ErrReference, ""},
		{"host in capitals beyond ASCII", "Ä/a", ref.ErrReference, ""},
		{"space", " a", ref.ErrName, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := ref.ParseReference(tt.text)
			if !errors.Is(err, tt.want) || !errors.Is(err, ref.ErrReference) || r != (ref.Reference{}) {
				t.Errorf("ParseReference = %+v, %v; want %v (%s)", r, err, tt.want, tt.reason)
			}
		})
	}
}

func TestTagOrDigest(t *testing.T) {
	d := digest.FromBytes(nil)
	tests := []struct {
		name, text string
		want       ref.TagOrDigest
		ok         bool
	}{
		{"neither", "a", ref.TagOrDigest{}, false},
		{"tag", "a:1", ref.ByTag(ref.MustTag("1")), true},
		{"digest", "a@" + d.String(), ref.ByDigest(d), true},
		{"both: the digest decides", "a:1@" + d.String(), ref.ByDigest(d), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := ref.ParseReference(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := r.TagOrDigest(); got != tt.want || ok != tt.ok {
				t.Errorf("TagOrDigest = %v, %v", got, ok)
			}
		})
	}
}

// referenceRE is wider than the truth where a regular expression cannot say it
// (ports, addresses): what is accepted matches it, not the other way round.
var referenceRE = regexp.MustCompile(`\A((?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::[1-9][0-9]{0,4})?/)?` +
	nameGrammar + `(:[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127})?(@(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}))?\z`)

// plainRE has no host, so here the two agree exactly.
var plainRE = regexp.MustCompile(`\A[a-z0-9]+(:[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127})?\z`)

func FuzzReference(f *testing.F) {
	for _, s := range []string{"a", "a:1", "localhost:5000/a/b:1", "[::1]:5000/a", "a@" + digest.FromBytes(nil).String(), "H/a", "a.b/c", "h:99999/a", "[::%1]/a", "a:b:c", "a@b@c", "http://a/b", "127.0.0.1/a", "\xff/a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ref.ParseReference(s)
		if err == nil && !referenceRE.MatchString(s) {
			t.Fatalf("%q was accepted as %+v", s, r)
		}
		if err != nil && plainRE.MatchString(s) && len(s) <= ref.MaxTagLen {
			t.Fatalf("%q was refused: %v", s, err)
		}
		if err != nil {
			return
		}
		again, err := ref.ParseReference(r.String())
		if err != nil || again != r || r.String() != s {
			t.Fatalf("round trip of %q: %+v, %v", s, again, err)
		}
		if strings.ContainsAny(r.Host, "/@") {
			t.Fatalf("host %q", r.Host)
		}
	})
}
