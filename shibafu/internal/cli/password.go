package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"shibafu.dev/step6-client/cmdline"

	"shibafu.dev/shibafu/internal/terminal"
)

// errNobody says that there is no person to ask.
var errNobody = fmt.Errorf("%w: nobody to ask for a password: --password-stdin reads one", cmdline.ErrUsage)

// passwordFlags say where a new password comes from. There is no flag for the password:
// others see the command lines of this machine.
type passwordFlags struct{ stdin, generate bool }

func (f *passwordFlags) define(fs *flag.FlagSet) {
	fs.BoolVar(&f.stdin, "password-stdin", false, "read the password from stdin, rather than ask for it")
	fs.BoolVar(&f.generate, "generate", false, "make a password, and print it")
}

// choose returns the password; printed is what is to be printed once it counts.
func (f *passwordFlags) choose(ctx context.Context, s Streams) (password, printed string, err error) {
	switch {
	case f.stdin && f.generate:
		return "", "", fmt.Errorf("%w: want --password-stdin or --generate, and not both", cmdline.ErrUsage)
	case f.generate:
		password = strings.ToLower(rand.Text()) // of 130 random bits
		return password, password, nil
	case f.stdin:
		password, err = readPassword(s.In)
		return password, "", err
	}
	password, err = askTwice(ctx, s)
	return password, "", err
}

// readPassword reads one to the end of in, but for a line end.
func readPassword(in io.Reader) (string, error) {
	const most = 64 << 10
	raw, err := io.ReadAll(io.LimitReader(in, most))
	return strings.TrimRight(string(raw), "\r\n"), err
}

// askTwice has a person type a new password twice, as it is not shown.
func askTwice(ctx context.Context, s Streams) (string, error) {
	tty := terminal.Of(s.In)
	if tty == nil {
		return "", errNobody
	}
	in := bufio.NewReader(tty)
	first, err := askHidden(ctx, tty, in, s.Err, "New password: ")
	if err != nil {
		return "", err
	}
	second, err := askHidden(ctx, tty, in, s.Err, "The same again: ")
	if err == nil && first != second {
		err = errors.New("the two are not the same")
	}
	return first, err
}

// askHidden asks for what is not to be shown.
func askHidden(ctx context.Context, tty *os.File, in *bufio.Reader, out io.Writer, question string) (string, error) {
	restore, err := terminal.Hush(tty)
	if err != nil {
		return "", err
	}
	answer, err := ask(ctx, in, out, question)
	restore()
	fmt.Fprintln(out) // the line end was not shown
	return answer, err
}
