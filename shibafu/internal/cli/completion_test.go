package cli

import (
	"strings"
	"testing"

	"shibafu.dev/step6-client/registrytest"
)

func TestComplete(t *testing.T) {
	m, r := newMachine(t), registrytest.New(t)
	m.do(0, "layer", "add", "alpine-base", m.folder("base", "base"))
	m.do(0, "layer", "add", "python", m.folder("python", "python"))
	app := r.Host + "/app:v1"
	m.do(0, "push", app, "--layers", "alpine-base")
	for _, tt := range []struct{ name, line, want string }{
		{"a command", "pu", ":words pull push"},
		{"the second word of one", "layer ", ":words add ls rm"},
		{"behind a flag", "-q reg", ":words registry"},
		{"no command", "fly ", ":words"},
		{"an image", "push ", ":words " + app},
		{"the beginning of one", "rm " + r.Host[:5], ":words " + app},
		{"no image of another store", "push --store " + m.home + "/none ", ":words"},
		{"as many as there are", "push x ", ":words"},
		{"any number", "rm x y ", ":words " + app},
		{"a place", "copy oc", ":files oci: oci-archive:"},
		{"a flag", "pull --pl", ":words --plain-http --platform"},
		{"a short one", "pull -q", ":words -q"},
		{"behind an argument", "pull x --all", ":words --all-platforms"},
		{"a fixed value", "pull --progress p", ":words plain"},
		{"a fixed value in the same word", "pull --progress=p", ":words --progress=plain"},
		{"a value of the registry's", "registry serve --log-level w", ":words warn"},
		{"a word of the registry's", "registry serve --missing a", ":words allow"},
		{"a file", "pull --ca ", ":files"},
		{"a folder", "pull --store ", ":folders"},
		{"a value that nobody knows", "pull --parallel ", ":words"},
		{"a platform", "pull --platform linux/amd", ":words linux/amd64"},
		{"layers", "push x --layers ", ":words alpine-base python"},
		{"layers behind another", "push x --layers=alpine-base,p", ":words --layers=alpine-base,python"},
		{"a layer", "layer rm py", ":words python"},
		{"what a layer is made of", "layer add x ", ":files"},
		{"a host", "login 127", ":words " + r.Host},
		{"a shell", "completion ", ":words bash fish zsh"},
		{"no flag any more", "pull -- --pl", ":words"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := machine{t, m.home}
			var got []string
			for line := range strings.Lines(m.out(append([]string{"__complete"}, strings.Split(tt.line, " ")...)...)) {
				word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
				got = append(got, word)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%q: %q, want %q", tt.line, got, tt.want)
			}
		})
	}
}

// Each command can be completed, with its own flags.
func TestCompleteAll(t *testing.T) {
	m := newMachine(t)
	for _, c := range commands() {
		fs := newFlags(c.name, nil)
		c.define(fs)
		out := m.out(append(append([]string{"__complete"}, strings.Fields(c.name)...), "-")...)
		m.says(out, "--help\texplain the command\n")
		if fs.Lookup("store") != nil {
			m.says(out, "--store\tfolder of the local store")
		}
		if c.args != "" && len(c.takes) == 0 {
			t.Errorf("%s: nobody knows what its arguments are", c.name)
		}
	}
	for shell := range shells() {
		m.says(m.out("completion", shell), "__complete")
	}
	m.do(2, "completion", "csh")
}
