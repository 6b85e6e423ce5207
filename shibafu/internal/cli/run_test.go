package cli

import (
	"os"
	"testing"

	"shibafu.dev/shibafu/internal/container"
)

// This program is started again as the first process of the containers that it runs.
func TestMain(m *testing.M) {
	if code, done := container.Reenter(); done {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// What cannot be run ends with 125 whatever the reason: the other codes are the
// container's.
func TestRunErrors(t *testing.T) {
	m := newMachine(t)
	m.image("made:1")
	m.do(0, "copy", m.made()+":made:1", "oci:"+m.home+"/shibafu/images:docker.io/library/made:1")
	for _, tt := range []struct {
		name string
		args []string
		want string // in what it says
	}{
		{"no image", nil, "missing: IMAGE"},
		{"no such flag", []string{"--nothing", "x"}, "flag provided but not defined: -nothing"},
		{"a flag behind the image is the command's", []string{"--pull", "never", "x", "--nothing"}, "no such image here"},
		{"not here", []string{"--pull", "never", "x"}, "shibafu pull x fetches it"},
		{"no reference", []string{"x:y:z"}, "x:y:z"},
		{"no such platform", []string{"--pull", "never", "--platform", "linux/riscv64", "made:1"}, "no image for the platform"},
		{"all platforms", []string{"--platform", "all", "made:1"}, "one is run at a time"},
		{"pull how", []string{"--pull", "sometimes", "x"}, "want missing, always or never"},
		{"volume without a target", []string{"-v", "/x", "x"}, "want SOURCE:TARGET"},
		{"volume with a name", []string{"-v", "x:/x", "x"}, "for the folder of that name say ./x"},
		{"volume with an odd end", []string{"-v", "/x:/x:rx", "x"}, `"rx": want ro or rw`},
		{"port alone", []string{"-p", "80", "x"}, "want PORT:PORT"},
		{"port of nobody", []string{"-p", "80:0", "x"}, `"0" is no port`},
		{"port too high", []string{"-p", "65536:80", "x"}, `"65536" is no port`},
		{"port for UDP", []string{"-p", "53:53/udp", "x"}, "only TCP can be published"},
		{"port at a name", []string{"-p", "localhost:80:80", "x"}, "localhost"},
		{"memory in words", []string{"-m", "much", "x"}, "want a number of bytes"},
		{"memory beyond all", []string{"-m", "9000000000g", "x"}, "want a number of bytes"},
		{"network of no kind", []string{"--network", "bridge", "x"}, "want none or host"},
		{"processes below none", []string{"--pids-limit", "-2", "x"}, "want a number, or -1"},
		{"environment without a name", []string{"-e", "=x", "x"}, "want NAME=value"},
		{"too little memory", []string{"-m", "1k", "--pull", "never", "made:1"}, "too little memory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, stderr := m.do(container.CodeFailed, append([]string{"run"}, tt.args...)...)
			holds(t, "stderr", stderr, tt.want)
		})
	}
}
