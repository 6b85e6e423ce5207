package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"

	"shibafu.dev/shibafu/internal/server"
)

// serve is "registry serve".
func serve(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := newFlags("registry serve", stderr)
	config, err := settle(fs, args, stdout, stderr)
	if err != nil {
		return err
	}
	if config.PrintConfig {
		return config.Print(stdout, fs)
	}
	options := &slog.HandlerOptions{Level: config.LogLevel}
	var handler slog.Handler = slog.NewTextHandler(stderr, options)
	if config.LogFormat == "json" {
		handler = slog.NewJSONHandler(stderr, options)
	}
	s, err := server.Open(ctx, config, slog.New(handler))
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "shibafu: serving on http://%s, data in %s\n", s.Addr(), s.Root())
	return errors.Join(s.Serve(ctx), s.Close())
}

// settle defines the settings as flags and puts together what file, environment
// and command line say.
func settle(fs *flag.FlagSet, args []string, stdout, stderr io.Writer) (*server.Config, error) {
	config := server.NewConfig(fs)
	if err := parse(fs, args, stdout); err != nil {
		return nil, err
	}
	if err := config.Settle(fs, os.LookupEnv); err != nil {
		var wrong *server.SettingError
		if errors.As(err, &wrong) {
			fmt.Fprintf(stderr, "%s: %v\n", fs.Name(), err)
			return nil, errUsage
		}
		return nil, err
	}
	return config, nil
}
