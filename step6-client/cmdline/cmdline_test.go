package cmdline

import (
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, args string
		most       int
		want       string // the flags, then the rest; "" is ErrUsage
	}{
		{"before", "-v --s=1 a b", -1, "true 1 a b"},
		{"between and behind", "a -v b --s 1", -1, "true 1 a b"},
		{"ended", "a -- -v b", -1, "false  a -v b"},
		{"ended twice", "a -- -v -- b", -1, "false  a -v -- b"},
		{"a dash is no flag", "a - -v", -1, "true  a -"},
		{"another program's", "-v a b -v --s", 1, "true  a b -v --s"},
		{"another program's, ended", "a -- b", 1, "false  a -- b"},
		{"unknown", "a -x", -1, ""},
		{"without its value", "a --s", -1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			flags := flag.NewFlagSet("", flag.ContinueOnError)
			flags.SetOutput(io.Discard)
			v, s := flags.Bool("v", false, ""), flags.String("s", "", "")
			rest, err := Parse(flags, strings.Fields(tt.args), tt.most)
			if (tt.want == "") != errors.Is(err, ErrUsage) {
				t.Fatalf("%v", err)
			}
			if err != nil {
				return
			}
			got := append([]string{map[bool]string{true: "true", false: "false"}[*v], *s}, rest...)
			if want := strings.Split(tt.want, " "); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
