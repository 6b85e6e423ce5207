package client_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"shibafu.dev/step6-client/client"
)

func TestContentRange(t *testing.T) {
	for _, tt := range []struct {
		in                string
		first, last, size int64
	}{
		{"bytes 0-0/1", 0, 0, 1}, {"bytes 5-9/10", 5, 9, 10}, {"BYTES 5-9/10", 5, 9, 10}, {"bytes 5-9/*", 5, 9, -1},
		{"bytes 0-9223372036854775806/9223372036854775807", 0, 9223372036854775806, 9223372036854775807},
	} {
		first, last, size, err := client.ParseContentRange(tt.in)
		if err != nil || first != tt.first || last != tt.last || size != tt.size {
			t.Errorf("%q: %d-%d/%d, %v", tt.in, first, last, size, err)
		}
	}
	for _, in := range []string{"", "bytes", "bytes ", "bytes 0-9", "bytes 9-0/10", "bytes 0-10/10", "bytes -1-5/10", "bytes 0--1/10", "bytes */10", "items 0-9/10",
		"bytes=0-9/10", "bytes 0-9/", "bytes 0-9/-1", "bytes +0-9/10", "bytes 0-9/10 ", "bytes 0 - 9/10", "bytes 0-9/1e1", "bytes 0-9223372036854775808/*", "bytes 0-9,11-12/20"} {
		if first, last, size, err := client.ParseContentRange(in); !errors.Is(err, client.ErrAnswer) {
			t.Errorf("%q: %d-%d/%d, %v", in, first, last, size, err)
		}
	}
}

func TestProgress(t *testing.T) {
	for in, want := range map[string]string{
		"0-9": "10 true", "0-1": "2 true", "0--1": "0 true", "bytes=0-9": "10 true", "0-0": "0 false", "bytes=0-0": "0 false",
	} {
		if kept, sure, err := client.ParseProgress(in); fmt.Sprint(kept, sure) != want || err != nil {
			t.Errorf("%q: %d, %t, %v; want %s", in, kept, sure, err, want)
		}
	}
	for _, in := range []string{"", "9", "1-9", "0-", "0--2", "0-x", "0-9/10", "0-9 ", "bytes 0-9", "0-99999999999999999999", "0-9223372036854775807"} {
		if kept, sure, err := client.ParseProgress(in); !errors.Is(err, client.ErrAnswer) {
			t.Errorf("%q: %d, %t, %v", in, kept, sure, err)
		}
	}
}

func TestNextLink(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"none", "", ""},
		{"next", `</v2/a/tags/list?n=2&last=b>; rel="next"`, "/v2/a/tags/list?n=2&last=b"},
		{"no quotes", `</a>;rel=next`, "/a"},
		{"spaces", " </a> ; rel = \"next\" ", "/a"},
		{"capitals", `</a>; REL="Next"`, "/a"},
		{"several words", `</a>; rel="last next"`, "/a"},
		{"another relation", `</a>; rel="prev"`, ""},
		{"no relation", `</a>`, ""},
		{"the first relation counts", `</a>; rel="prev"; rel="next"`, ""},
		{"behind another", `</a>; rel="prev", </b>; rel="next"`, "/b"},
		{"more parameters", `</a>; title="x; y, z"; rel="next"; type=b`, "/a"},
		{"a parameter without value", `</a>; x; rel="next"`, "/a"},
		{"comma in the URL", `</a?x=1,2>; rel="next"`, "/a?x=1,2"},
		{"empty URL", `<>; rel="next"`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := client.NextLink([]string{tt.in}); got != tt.want || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
	for _, in := range []string{"/a", `"/a"; rel="next"`, `</a; rel="next"`, `</a>; rel="next`, `</a> rel="next"`, `</a>; rel="next" x`, `<a b>; rel="next"`, `<\a>; rel="next"`,
		"<" + strings.Repeat("a", 20000) + `>; rel="next"`} {
		if got, err := client.NextLink([]string{in}); !errors.Is(err, client.ErrAnswer) {
			t.Errorf("%.40q: %q, %v", in, got, err)
		}
	}
}

func FuzzNextLink(f *testing.F) {
	for _, s := range []string{"", `</a>; rel="next"`, `</a>; rel=prev, <b>; title="x,y"; rel="a next"`, `<>;rel=next`, `<a>;;rel=next,`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := client.NextLink([]string{s})
		if err != nil && got != "" || !strings.Contains(s, got) {
			t.Fatalf("%q: %q beside %v", s, got, err)
		}
		if got == "" {
			return
		}
		if again, err := client.NextLink([]string{"<" + got + `>; rel="next"`}); again != got || err != nil {
			t.Fatalf("%q comes back as %q, %v", got, again, err)
		}
	})
}

func FuzzRanges(f *testing.F) {
	for _, s := range []string{"bytes 0-9/10", "bytes 0-9/*", "bytes */10", "0-9", "0--1", "bytes=0-0", "bytes 9-0/10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if first, last, size, err := client.ParseContentRange(s); err == nil {
			if first < 0 || last < first || size != -1 && last >= size {
				t.Fatalf("%q: %d-%d/%d", s, first, last, size)
			}
			written := fmt.Sprintf("bytes %d-%d/%d", first, last, size)
			f2, l2, s2, err := client.ParseContentRange(strings.Replace(written, "/-1", "/*", 1))
			if err != nil || f2 != first || l2 != last || s2 != size {
				t.Fatalf("%q comes back as %d-%d/%d, %v", s, f2, l2, s2, err)
			}
		}
		if kept, sure, err := client.ParseProgress(s); err == nil {
			if kept < 0 || !sure && kept != 0 {
				t.Fatalf("%q: %d, %t", s, kept, sure)
			}
			if again, sure2, err := client.ParseProgress(fmt.Sprintf("0-%d", kept-1)); sure && kept != 1 && (again != kept || !sure2 || err != nil) {
				t.Fatalf("%q comes back as %d, %t, %v", s, again, sure2, err)
			}
		}
	})
}
