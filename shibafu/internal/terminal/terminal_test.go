package terminal_test

import (
	"bufio"
	"os"
	"testing"

	"shibafu.dev/shibafu/internal/terminal"
	"shibafu.dev/shibafu/internal/terminal/terminaltest"
)

func TestTerminal(t *testing.T) {
	person, program := terminaltest.Open(t, 80, 24)
	if terminal.Of(program) != program {
		t.Error("a terminal is not known")
	}
	if c, r := terminal.Size(program); c != 80 || r != 24 {
		t.Errorf("%d columns, %d rows", c, r)
	}
	terminaltest.Resize(t, person, 20, 5)
	if c, r := terminal.Size(program); c != 20 || r != 5 {
		t.Errorf("%d columns, %d rows", c, r)
	}
	restore, err := terminal.Hush(program)
	if err != nil {
		t.Fatal(err)
	}
	in, out := bufio.NewReader(program), bufio.NewReader(person)
	person.WriteString("secret\n")
	if line, err := in.ReadString('\n'); line != "secret\n" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	restore()
	person.WriteString("shown\n")
	if line, err := out.ReadString('\n'); line != "shown\r\n" || err != nil {
		t.Errorf("it shows %q, %v", line, err)
	}
}

func TestNoTerminal(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, v := range []any{nil, file, (*os.File)(nil), "text"} {
		if terminal.Of(v) != nil {
			t.Errorf("%v is one", v)
		}
	}
	if _, err := terminal.Hush(file); err == nil {
		t.Error("a file was hushed")
	}
}
