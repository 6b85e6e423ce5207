package container_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"shibafu.dev/shibafu/internal/container"
	"shibafu.dev/shibafu/internal/container/account"
	"shibafu.dev/shibafu/internal/container/inside"
)

// No form of a user's name becomes uid 0 that is not its name or its number
// (CVE-2024-40635, CVE-2016-3697), also where the image has a line for it.
func TestHostileUsers(t *testing.T) {
	w := newWorld(t)
	names := []string{
		"4294967295", "4294967296", "18446744073709551616", "-1", "-0", "+0", "00", "0x0", "1e3", " 0", "0 ", "99999999999",
		"0:4294967296", "0:-1", ":0", "0:", ":", "٠", "root\n", "nobody", "a/b", "0:0:0",
	}
	var passwd strings.Builder
	for _, name := range names {
		if !strings.ContainsAny(name, ":\n") && name != "nobody" {
			passwd.WriteString(name + ":x:0:0::/:/bin/sh\n")
		}
	}
	i := image(t, blob(t, folder("etc"), text("etc/passwd", passwd.String()), text("etc/group", passwd.String())))
	for _, name := range names {
		i.Config.Config.User = name
		r := w.run(i, container.Spec{}, "/probe", "id")
		if r.code != container.CodeFailed || r.err == nil || !strings.Contains(r.err.Error(), "user") || r.stdout != "" {
			t.Errorf("%q: code %d, %v, %q", name, r.code, r.err, r.stdout)
		}
	}
}

// Lists of users that are not honest are read to a bound (CVE-2026-47262).
func TestHostileUserLists(t *testing.T) {
	w := newWorld(t)
	large := strings.Repeat("#", account.MaxFile) + "\n"
	for _, tt := range []struct{ name, passwd, group, user, want string }{
		{"too large for a name", large + "me:x:0:0::/:\n", "", "me", "larger than"},
		{"too large for a number", large, "", "0", "larger than"},
		{"groups too large", "me:x:0:0::/:\n", large, "me", "larger than"},
		{"a number that wraps", "me:x:4294967296:0::/:\n", "", "me", "invalid file"},
		{"a group that wraps", "me:x:0:4294967296::/:\n", "", "me", "invalid file"},
		{"no number", "me:x:zero:0::/:\n", "", "me", "invalid file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := image(t, blob(t, folder("etc"), text("etc/passwd", tt.passwd), text("etc/group", tt.group)))
			r := w.run(i, container.Spec{User: tt.user}, "/probe", "id")
			if r.code != container.CodeFailed || r.err == nil || !strings.Contains(r.err.Error(), tt.want) {
				t.Errorf("code %d, %v, %q", r.code, r.err, r.stdout)
			}
		})
	}
}

// What an image's config says is held to a form, or does nothing outside.
func TestHostileConfig(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name       string
		entry, env []string
		want       string
	}{
		{"no program", nil, nil, "the image does not say what to run"},
		{"an empty program", []string{""}, nil, "the image does not say what to run"},
		{"NUL in the program", []string{"/probe\x00x"}, nil, "NUL"},
		{"NUL in a variable", []string{"/probe", "env"}, []string{"A=\x00"}, "NUL"},
		{"a variable without a value", []string{"/probe", "env"}, []string{"A"}, `"A", which is not NAME=value`},
		{"a variable without a name", []string{"/probe", "env"}, []string{"=A"}, `"=A", which is not NAME=value`},
		{"an endless argument", []string{"/probe", strings.Repeat("x", 2<<20)}, nil, "more than 2097152"},
	} {
		i := image(t)
		i.Config.Config.Entrypoint, i.Config.Config.Env = tt.entry, tt.env
		if r := w.run(i, container.Spec{}); r.code != container.CodeFailed || !errors.Is(r.err, container.ErrSpec) || !strings.Contains(r.err.Error(), tt.want) {
			t.Errorf("%s: code %d, %v", tt.name, r.code, r.err)
		}
	}
	i := image(t, blob(t, text("evil.so", "no library")))
	c := &i.Config.Config
	c.Env = []string{"LD_PRELOAD=/evil.so", "GODEBUG=inittrace=1", "GOTRACEBACK=crash", "BASH_ENV=/evil.so", "PATH=relative:.:" + w.canary}
	c.Labels = map[string]string{"com.docker.logger": "binary:///" + w.canary, "io.containerd.runc.v2": w.canary}
	w.says("LD_PRELOAD=/evil.so\n", i, container.Spec{}, "/probe", "variable", "LD_PRELOAD")
	if r := w.run(i, container.Spec{}, "probe", "echo"); r.code != container.CodeNotFound {
		t.Errorf("a relative PATH: code %d, %v", r.code, r.err)
	}
}

// What is asked for is checked before anything is made.
func TestSpecs(t *testing.T) {
	w := newWorld(t)
	here := func(target string) container.Spec {
		return container.Spec{Volumes: []inside.Volume{{Source: w.canary, Target: target}}}
	}
	for _, tt := range []struct {
		name string
		spec container.Spec
	}{
		{"a name with a slash", container.Spec{Name: "../x"}},
		{"a name of dots", container.Spec{Name: ".."}},
		{"a long name", container.Spec{Name: strings.Repeat("x", 64)}},
		{"a hostname with a space", container.Spec{Hostname: "a b"}},
		{"a hostname that ends with a line", container.Spec{Hostname: "a\n127.0.0.1 evil"}},
		{"a long hostname", container.Spec{Hostname: strings.Repeat("x", 64)}},
		{"a relative volume", container.Spec{Volumes: []inside.Volume{{Source: "x", Target: "/x"}}}},
		{"a volume of nothing", container.Spec{Volumes: []inside.Volume{{Source: w.canary + "/nothing", Target: "/x"}}}},
		{"a volume at a relative path", here("x")},
		{"a volume in the place of the root", here("/x/..")},
		{"a volume in /proc", here("/proc/sys")},
		{"a volume in /proc by way of another folder", here("/tmp/../proc/self")},
		{"a volume in /sys", here("/sys")},
		{"NUL in a volume", here("/x\x00")},
		{"ports of the machine's network", container.Spec{HostNetwork: true, Ports: []container.Port{{}}}},
		{"a terminal that a pipe types at", container.Spec{Interactive: true, Terminal: true}},
	} {
		if r := w.run(image(t), tt.spec, "/probe", "exit", "0"); r.code != container.CodeFailed || !errors.Is(r.err, container.ErrSpec) {
			t.Errorf("%s: code %d, %v", tt.name, r.code, r.err)
		}
	}
	if _, err := os.Stat(w.dir + "/layers"); err != nil {
		t.Error(err)
	}
	w.says("a.b-c\n", image(t), container.Spec{Name: "a.b_c"}, "/probe", "hostname")
}
