package container_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"shibafu.dev/shibafu/internal/container"
)

func TestExitCodes(t *testing.T) {
	w := newWorld(t)
	i := image(t, blob(t, text("plain", "no program\n"), folder("folder"), file{Header: text("text", "").Header, content: "x"}))
	script := text("script", "#!/nowhere\n")
	script.Mode = 0o755
	garbage := text("garbage", "\x00\x01\x02")
	garbage.Mode = 0o755
	i.Layers = append(i.Layers, blob(t, script, garbage))
	for _, tt := range []struct {
		name string
		args []string
		code int
		err  string
	}{
		{"success", []string{"/probe", "exit", "0"}, 0, ""},
		{"failure", []string{"/probe", "exit", "3"}, 3, ""},
		{"largest", []string{"/probe", "exit", "255"}, 255, ""},
		{"found in PATH", []string{"probe", "exit", "4"}, 127, "probe: not found in the container's PATH"},
		{"not there", []string{"/nothing"}, 127, "/nothing: not found in the container"},
		{"no program", []string{"/plain"}, 126, "/plain: is not a program"},
		{"a folder", []string{"/folder"}, 126, "/folder: is not a program"},
		{"below a file", []string{"/plain/x"}, 127, "/plain/x: not found in the container"},
		{"interpreter is missing", []string{"/script"}, 127, "/script: no such file or directory, or what it says that runs it"},
		{"of no format", []string{"/garbage"}, 126, "/garbage: exec format error"},
		{"no command", nil, 125, "container: the image does not say what to run: name a command after it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := w.run(i, container.Spec{}, tt.args...)
			got := ""
			if r.err != nil {
				got = r.err.Error()
			}
			if r.code != tt.code || got != tt.err {
				t.Errorf("code %d, %q; want %d, %q", r.code, got, tt.code, tt.err)
			}
		})
	}
}

func TestWhatTheProcessIs(t *testing.T) {
	w := newWorld(t)
	i := image(t)
	i.Config.Config.Env = []string{"A=image", "B=image"}
	i.Config.Config.WorkingDir = "/srv/here"
	w.says("A=image\nB=said\nC=said\nHOME=/root\nHOSTNAME=me\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n",
		i, container.Spec{Name: "me", Env: []string{"B=said", "C=said"}}, "/probe", "env")
	w.says("/srv/here\n", i, container.Spec{}, "/probe", "pwd")
	w.says("/tmp\n", i, container.Spec{Dir: "/tmp"}, "/probe", "pwd")
	w.says("host.name\n", i, container.Spec{Hostname: "host.name"}, "/probe", "hostname")
	w.says("me\n", i, container.Spec{Name: "me"}, "/probe", "hostname")
	w.says("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.0.1\tme\nme\n", i, container.Spec{Name: "me"}, "/probe", "cat", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
	w.says("0 /dev/null\n1 pipe\n2 pipe\n", i, container.Spec{}, "/probe", "files")
	w.says("input", i, container.Spec{Interactive: true, Stdin: strings.NewReader("input")}, "/probe", "copy")
	w.says("", i, container.Spec{Stdin: strings.NewReader("input")}, "/probe", "copy")
	w.says("lo true\n", i, container.Spec{}, "/probe", "interfaces")
	w.says("zombies 0\n", i, container.Spec{}, "/probe", "orphan")

	i.Config.Config.Entrypoint, i.Config.Config.Cmd = []string{"/probe", "echo"}, []string{"image"}
	w.says("image\n", i, container.Spec{})
	w.says("said\n", i, container.Spec{}, "said")
	w.says("entry\n", i, container.Spec{Entrypoint: []string{"/probe", "echo", "entry"}})
}

// What a container may do is a set that is written down, exactly.
func TestRights(t *testing.T) {
	w := newWorld(t)
	const none, set = "0000000000000000", "00000000800405fb"
	want := func(effective string) string {
		return fmt.Sprintf("CapInh %s\nCapPrm %s\nCapEff %s\nCapBnd %s\nCapAmb %s\nNoNewPrivs 1\nSeccomp 2\n", none, effective, effective, set, none)
	}
	fields := []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"}
	args := append([]string{"/probe", "status", "self"}, fields...)
	w.says(want(set), image(t), container.Spec{}, args...)
	args[2] = "1"
	w.says(want(set), image(t), container.Spec{}, args...)
	if hasUsers() {
		args[2] = "self"
		w.says(want(none), image(t), container.Spec{User: "alice"}, args...)
	}
}

func TestUsers(t *testing.T) {
	w := newWorld(t)
	groups := "[0]"
	if !hasUsers() {
		groups = "[]" // nobody but root may change them
	}
	w.says("0 0 "+groups+"\n", image(t), container.Spec{User: "root"}, "/probe", "id")
	w.says("0 0 "+groups+"\n", image(t), container.Spec{User: "0:0"}, "/probe", "id")
	if hasUsers() {
		w.says("1000 1000 [50 1000]\n", image(t), container.Spec{User: "alice"}, "/probe", "id")
		w.says("7 8 [8]\n", image(t), container.Spec{User: "7:8"}, "/probe", "id")
		return
	}
	r := w.run(image(t), container.Spec{User: "alice"}, "/probe", "id")
	if r.code != 125 || r.err == nil || !strings.Contains(r.err.Error(), "user 1000:1000 does not exist here, as /etc/subuid has no range for ") {
		t.Errorf("code %d, %v", r.code, r.err)
	}
}

func TestReadOnly(t *testing.T) {
	w := newWorld(t)
	const ro = "read-only file system"
	w.says("/x ok\n/tmp/x ok\n/etc/hosts ok\n", image(t), container.Spec{}, "/probe", "write", "/x", "/tmp/x", "/etc/hosts")
	w.says("/x "+ro+"\n/tmp/x "+ro+"\n/etc/hosts "+ro+"\n/dev/shm/x ok\n/dev/null ok\n", image(t), container.Spec{ReadOnly: true},
		"/probe", "write", "/x", "/tmp/x", "/etc/hosts", "/dev/shm/x", "/dev/null")
}

func TestNameIsTakenWhileItRuns(t *testing.T) {
	w := newWorld(t)
	finish := w.start(image(t), container.Spec{Name: "one"}, "/probe", "wait")
	r := w.run(image(t), container.Spec{Name: "one"}, "/probe", "exit", "0")
	if r.code != 125 || !errors.Is(r.err, container.ErrSpec) {
		t.Errorf("code %d, %v", r.code, r.err)
	}
	if r := finish(); r.code != 0 || r.err != nil {
		t.Errorf("code %d, %v", r.code, r.err)
	}
	w.says("", image(t), container.Spec{Name: "one"}, "/probe", "exit", "0")
}
