package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/ocierr"
	"shibafu.dev/step7-security/adminhttp"
	"shibafu.dev/step7-security/socket"

	"shibafu.dev/shibafu/internal/server"
)

// errNo says that the answer to a question is no; it has been printed.
var errNo = errors.New("the answer is no")

// keeper is what the commands have that look after a registry: the API of its server
// where one runs, and the same API over its files where none does.
type keeper struct {
	api     adminhttp.Client
	running bool
	root    string
	Streams
}

// lookAfter is a command that looks after a registry; do gets its arguments.
func lookAfter(fs *flag.FlagSet, do func(ctx context.Context, k *keeper, args []string) error) action {
	config := server.NewConfig(fs)
	return func(ctx context.Context, args []string, s Streams) error {
		if err := settle(config, fs, s); err != nil {
			return err
		}
		if config.PrintConfig {
			return config.Print(s.Out, fs)
		}
		k, err := newKeeper(ctx, config, s)
		if err != nil {
			return err
		}
		return do(ctx, k, args)
	}
}

func newKeeper(ctx context.Context, config *server.Config, s Streams) (*keeper, error) {
	k := &keeper{root: config.Root, Streams: s}
	path, err := config.SocketPath()
	if err != nil {
		return nil, err
	}
	conn, err := socket.Dial(ctx, path)
	switch {
	case err == nil:
		k.running, k.api.Transport = true, adminhttp.OverSocket(path)
		return k, conn.Close()
	case !errors.Is(err, socket.ErrNobody):
		return nil, err
	}
	files, err := server.Offline(config)
	k.api.Transport = adminhttp.InProcess(files)
	return k, err
}

// ofServer is lookAfter for what only a server knows.
func ofServer(fs *flag.FlagSet, do func(ctx context.Context, k *keeper, args []string) error) action {
	return lookAfter(fs, func(ctx context.Context, k *keeper, args []string) error {
		if !k.running {
			return fmt.Errorf("no server runs on %s: only one that does knows this", k.root)
		}
		return do(ctx, k, args)
	})
}

// ask asks for a path below the API's prefix.
func (k *keeper) ask(ctx context.Context, method, path string, in, out any) error {
	return plain(k.api.Do(ctx, method, path, in, out))
}

// plain is an error of the API without the code, which is for programs.
func plain(err error) error {
	var e *ocierr.Error
	if errors.As(err, &e) && e.Message != "" {
		return errors.New(e.Message)
	}
	return err
}

// say prints what was done.
func (k *keeper) say(format string, args ...any) error {
	_, err := fmt.Fprintln(k.Out, safe(fmt.Sprintf(format, args...)))
	return err
}

// each asks for the path of each name, and says what was done to it.
func (k *keeper) each(ctx context.Context, names []string, done, method string, path func(name string) string) error {
	for _, name := range names {
		if err := k.ask(ctx, method, path(name), nil, nil); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := k.say("%s: %s", name, done); err != nil {
			return err
		}
	}
	return nil
}

// listOf is a flag that may be given again.
type listOf []string

func (l *listOf) String() string { return strings.Join(*l, ",") }

func (l *listOf) Set(text string) error {
	if text == "" {
		return errors.New("it is empty")
	}
	if !slices.Contains(*l, text) {
		*l = append(*l, text)
	}
	return nil
}
