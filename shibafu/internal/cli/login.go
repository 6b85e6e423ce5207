package cli

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"shibafu.dev/step6-client/cmdline"
	"shibafu.dev/step6-client/credential"
	"shibafu.dev/step6-client/place"

	"shibafu.dev/shibafu/internal/terminal"
)

// login is "login": it keeps what a registry knows us by, once that is known to be
// right. There is no flag for a password: others see the command lines of this machine.
func login(fs *flag.FlagSet) action {
	var access place.Access
	access.Flags(fs)
	var user string
	fs.StringVar(&user, "username", "", "`name` to log in with; it is asked for unless told")
	fs.StringVar(&user, "u", "", "short for --username `name`")
	fromStdin := fs.Bool("password-stdin", false, "read the password from stdin, rather than ask for it")
	return func(ctx context.Context, args []string, s Streams) error {
		cred, err := askCredential(ctx, user, *fromStdin, s)
		if err != nil {
			return err
		}
		host := hostOf(args[0])
		access.Credentials = credential.Fixed(cred)
		c, err := access.Client(host)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.Ping(ctx); err != nil {
			return about(host, err)
		}
		return keep(ctx, host, cred, s)
	}
}

// hostOf takes off what people copy along with a host.
func hostOf(text string) string {
	text = strings.TrimPrefix(strings.TrimPrefix(text, "https://"), "http://")
	return strings.TrimSuffix(text, "/")
}

// keep stores cred where docker has such things, and says where that is.
func keep(ctx context.Context, host string, cred credential.Credential, s Streams) error {
	file, err := credential.Default()
	if err != nil {
		return err
	}
	if err := file.Keep(ctx, host, cred); err != nil {
		return err
	}
	helper, err := file.Helper(host)
	if err != nil {
		return err
	}
	where := file.Path + ", which is not encrypted: whoever reads it has the password"
	if helper != "" {
		where = "docker-credential-" + helper
	}
	fmt.Fprintf(s.Err, "kept in %s\n", where)
	_, err = fmt.Fprintf(s.Out, "%s: logged in as %s\n", safe(host), safe(cred.Username))
	return err
}

// askCredential asks a person for what was not given.
func askCredential(ctx context.Context, user string, fromStdin bool, s Streams) (credential.Credential, error) {
	cred := credential.Credential{Username: user}
	if fromStdin {
		var err error
		if cred.Password, err = readPassword(s.In); err == nil && (user == "" || cred.Password == "") {
			err = fmt.Errorf("%w: --password-stdin wants --username, and a password", cmdline.ErrUsage)
		}
		return cred, err
	}
	tty := terminal.Of(s.In)
	if tty == nil {
		return cred, errNobody
	}
	in := bufio.NewReader(tty)
	var err error
	if user == "" {
		if cred.Username, err = ask(ctx, in, s.Err, "Username: "); err != nil {
			return cred, err
		}
	}
	cred.Password, err = askHidden(ctx, tty, in, s.Err, "Password: ")
	if err == nil && (cred.Username == "" || cred.Password == "") {
		err = fmt.Errorf("%w: neither may be empty", cmdline.ErrUsage)
	}
	return cred, err
}

// ask reads a line, or ends with ctx.
func ask(ctx context.Context, in *bufio.Reader, out io.Writer, question string) (string, error) {
	fmt.Fprint(out, question)
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := in.ReadString('\n')
		answers <- answer{strings.TrimRight(line, "\r\n"), err}
	}()
	select {
	case a := <-answers:
		return a.line, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// logout is "logout": what is kept for a registry goes.
func logout(*flag.FlagSet) action {
	return func(ctx context.Context, args []string, s Streams) error {
		host := hostOf(args[0])
		file, err := credential.Default()
		if err != nil {
			return err
		}
		helper, err := file.Helper(host)
		if err != nil {
			return err
		}
		found, err := file.Forget(ctx, host)
		switch {
		case err != nil:
			return err
		case !found && helper == "":
			return errors.New("nothing was kept for " + host)
		}
		_, err = fmt.Fprintf(s.Out, "%s: logged out\n", safe(host))
		return err
	}
}
